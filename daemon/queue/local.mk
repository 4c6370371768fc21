# sources and headers of this folder
libdaemon_a_SOURCES += daemon/queue/record.h daemon/queue/queue.h daemon/queue/queue_ops.h daemon/queue/queue_mem.h
