# sources and headers of this folder
libdaemon_a_SOURCES += daemon/state/state.h daemon/state/types.h daemon/state/seal.h daemon/state/state_priv.h \
	daemon/state/db.c daemon/state/types.c
