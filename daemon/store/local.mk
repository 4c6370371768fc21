# sources and headers of this folder
libdaemon_a_SOURCES += daemon/store/store.h daemon/store/store_ops.h daemon/store/store_stage.h
