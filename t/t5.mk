# family t5: check_PROGRAMS += t/unit/5NNN-name.tap (with _SOURCES, _LDADD), dist_check_SCRIPTS += t/sh/t5NNN-name.t
check_PROGRAMS += t/unit/5001-state.tap
t_unit_5001_state_tap_SOURCES = t/unit/5001-state.c
t_unit_5001_state_tap_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
t_unit_5001_state_tap_LDADD = $(DAEMON_TEST_LIBS)
check_PROGRAMS += t/unit/5003-seal.tap
t_unit_5003_seal_tap_SOURCES = t/unit/5003-seal.c
t_unit_5003_seal_tap_LDADD = $(DAEMON_TEST_LIBS)
