# sources and headers of this folder
libdaemon_a_SOURCES += \
	daemon/control/control.c daemon/control/control.h daemon/control/control_priv.h daemon/control/control_util.c \
	daemon/control/history.c daemon/control/kinds.c \
	daemon/control/method_batch.c daemon/control/method_config.c daemon/control/method_destination.c daemon/control/method_job.c \
	daemon/control/method_log.c daemon/control/method_pause.c daemon/control/method_reject.c daemon/control/method_hook.c daemon/control/method_source.c daemon/control/method_system.c \
	daemon/control/method_table.c daemon/control/method_where.c daemon/control/methods.h \
	daemon/control/problems.c daemon/control/snapshot.c daemon/control/snapshot.h daemon/control/status.c daemon/control/status.h \
	daemon/control/world.c
