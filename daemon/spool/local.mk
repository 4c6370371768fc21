# sources and headers of this folder
libdaemon_a_SOURCES += daemon/spool/spool.h daemon/spool/backoff.h daemon/spool/runner.h
