# sources and headers of this folder
libdaemon_a_SOURCES += daemon/retention/retention.h
