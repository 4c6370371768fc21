# sources and headers of this folder
libdaemon_a_SOURCES += daemon/import/import.h
