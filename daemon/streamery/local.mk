# sources and headers of this folder
libdaemon_a_SOURCES += daemon/streamery/streamery.h
