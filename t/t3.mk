# family t3: check_PROGRAMS += t/unit/3NNN-name.tap (with _SOURCES, _LDADD), dist_check_SCRIPTS += t/sh/t3NNN-name.t
check_PROGRAMS += t/unit/3001-cut.tap
t_unit_3001_cut_tap_SOURCES = t/unit/3001-cut.c
t_unit_3001_cut_tap_LDADD = $(DAEMON_TEST_LIBS)
