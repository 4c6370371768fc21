# family t7: check_PROGRAMS += t/unit/7NNN-name.tap (with _SOURCES, _LDADD), dist_check_SCRIPTS += t/sh/t7NNN-name.t
check_PROGRAMS += t/unit/7002-history.tap
t_unit_7002_history_tap_SOURCES = t/unit/7002-history.c
t_unit_7002_history_tap_LDADD = $(DAEMON_TEST_LIBS)
dist_check_SCRIPTS += t/sh/t7001-ctl.t t/sh/t7003-ctl-fake.t t/sh/t7004-push-restart.t t/sh/t7005-discard.t
EXTRA_DIST += t/lib/fake_daemon.py
