# sources and headers of this folder
libdaemon_a_SOURCES += daemon/store/store.h daemon/store/store_ops.h daemon/store/store_stage.h daemon/store/store_mem.h daemon/store/batch_name.h \
	daemon/store/batch_name.c daemon/store/store.c daemon/store/store_dir.c daemon/store/store_mem.c daemon/store/store_s3.c daemon/store/store_stage.c
