libdaemon_a_SOURCES += \
	daemon/core/crashpoint.c daemon/core/crashpoint.h \
	daemon/core/metrics.c daemon/core/metrics.h \
	daemon/core/now.c daemon/core/now.h \
	daemon/core/stage.c daemon/core/stage.h
