# sources and headers of this folder
libdaemon_a_SOURCES += daemon/queue/record.h daemon/queue/queue.h daemon/queue/queue_ops.h daemon/queue/queue_mem.h daemon/queue/queue_local.h daemon/queue/queue_local.c \
	daemon/queue/crc32c.h daemon/queue/crc32c.c daemon/queue/le.h daemon/queue/record.c daemon/queue/queue.c daemon/queue/queue_mem.c \
	daemon/queue/segment.h daemon/queue/segment.c daemon/queue/log_priv.h daemon/queue/queue_log.c daemon/queue/log_count.c daemon/queue/log_index.c \
	daemon/queue/log_recover.c daemon/queue/log_read.c daemon/queue/log_spare.c
