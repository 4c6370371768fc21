# sources and headers of this folder
libdaemon_a_SOURCES += daemon/retention/retention.h daemon/retention/decide.h daemon/retention/decide.c daemon/retention/retention.c
