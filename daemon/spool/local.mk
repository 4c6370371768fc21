# sources and headers of this folder
libdaemon_a_SOURCES += \
	daemon/spool/backoff.c daemon/spool/backoff.h \
	daemon/spool/dest_rules.c daemon/spool/dest_rules.h \
	daemon/spool/hooks.c daemon/spool/hooks.h daemon/spool/hook_sign.c daemon/spool/hook_sign.h \
	daemon/spool/loader_child.c daemon/spool/loader_msg.c \
	daemon/spool/runner.c daemon/spool/runner.h daemon/spool/runner_ask.c daemon/spool/runner_priv.h \
	daemon/spool/spool.c daemon/spool/spool.h daemon/spool/spool_priv.h \
	daemon/spool/spool_event.c daemon/spool/spool_outcome.c daemon/spool/spool_pick.c daemon/spool/spool_tx.c
