# sources and headers of this folder
libdaemon_a_SOURCES += daemon/streamery/streamery.h daemon/streamery/streamery_priv.h daemon/streamery/work.h daemon/streamery/batch.h daemon/streamery/batch.c \
	daemon/streamery/cut.h daemon/streamery/cut.c daemon/streamery/digest.h daemon/streamery/digest.c daemon/streamery/stream_commit.c daemon/streamery/stream_cut.c daemon/streamery/stream_read.c \
	daemon/streamery/stream_rewind.c daemon/streamery/stream_table.c daemon/streamery/streamery.c
