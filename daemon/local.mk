noinst_LIBRARIES += libdaemon.a
libdaemon_a_CPPFLAGS = $(AM_CPPFLAGS) $(MHD_CFLAGS) $(GNUTLS_CFLAGS) $(SQLITE_CFLAGS)
libdaemon_a_SOURCES = daemon/config.c daemon/config.h daemon/notify.c daemon/notify.h
EXTRA_libdaemon_a_DEPENDENCIES =
include daemon/core/local.mk
include daemon/import/local.mk
include daemon/queue/local.mk
include daemon/streamery/local.mk
include daemon/store/local.mk
include daemon/spool/local.mk
include daemon/control/local.mk
include daemon/state/local.mk
include daemon/retention/local.mk

sbin_PROGRAMS += stitchd
stitchd_SOURCES = daemon/main.c daemon/app.c daemon/app.h
stitchd_CPPFLAGS = $(libdaemon_a_CPPFLAGS)
stitchd_LDADD = $(DAEMON_LIBS)
