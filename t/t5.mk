# family t5: check_PROGRAMS += t/unit/5NNN-name.tap (with _SOURCES, _LDADD), dist_check_SCRIPTS += t/sh/t5NNN-name.t
check_PROGRAMS += t/unit/5001-state.tap
t_unit_5001_state_tap_SOURCES = t/unit/5001-state.c
t_unit_5001_state_tap_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
t_unit_5001_state_tap_LDADD = $(DAEMON_TEST_LIBS)
check_PROGRAMS += t/unit/5003-seal.tap
t_unit_5003_seal_tap_SOURCES = t/unit/5003-seal.c
t_unit_5003_seal_tap_LDADD = $(DAEMON_TEST_LIBS)
noinst_PROGRAMS += t/lib/statedriver
t_lib_statedriver_SOURCES = t/lib/statedriver.c
t_lib_statedriver_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
t_lib_statedriver_LDADD = $(DAEMON_LIBS)
dist_check_SCRIPTS += t/sh/t5001-state-disk.t
.PHONY: state-faults
state-faults: t/lib/statedriver
	ROUNDS=$${ROUNDS:-100} STITCH_TOP_SRCDIR=$(abs_top_srcdir) STITCH_BUILD=$(abs_top_builddir) $(top_srcdir)/t/sh/t5001-state-disk.t
check_PROGRAMS += t/unit/5002-config.tap
t_unit_5002_config_tap_SOURCES = t/unit/5002-config.c
t_unit_5002_config_tap_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
t_unit_5002_config_tap_LDADD = $(DAEMON_TEST_LIBS)
dist_check_SCRIPTS += t/sh/t5002-state-anew.t t/sh/t5003-state-full.t
# the data of state.db: a state in memory, cuts and loads in short words
DATA_TEST_SOURCES = t/lib/dtest.c t/lib/dtest.h
check_PROGRAMS += t/unit/5013-tally.tap
t_unit_5013_tally_tap_SOURCES = t/unit/5013-tally.c $(DATA_TEST_SOURCES)
t_unit_5013_tally_tap_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
t_unit_5013_tally_tap_LDADD = $(DAEMON_TEST_LIBS)
check_PROGRAMS += t/unit/5010-cut.tap t/unit/5011-schema.tap
t_unit_5010_cut_tap_SOURCES = t/unit/5010-cut.c $(DATA_TEST_SOURCES)
t_unit_5010_cut_tap_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
t_unit_5010_cut_tap_LDADD = $(DAEMON_TEST_LIBS)
t_unit_5011_schema_tap_SOURCES = t/unit/5011-schema.c $(DATA_TEST_SOURCES)
t_unit_5011_schema_tap_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
t_unit_5011_schema_tap_LDADD = $(DAEMON_TEST_LIBS)
check_PROGRAMS += t/unit/5012-load.tap
t_unit_5012_load_tap_SOURCES = t/unit/5012-load.c $(DATA_TEST_SOURCES)
t_unit_5012_load_tap_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
t_unit_5012_load_tap_LDADD = $(DAEMON_TEST_LIBS)
check_PROGRAMS += t/unit/5014-retention.tap
t_unit_5014_retention_tap_SOURCES = t/unit/5014-retention.c $(DATA_TEST_SOURCES)
t_unit_5014_retention_tap_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
t_unit_5014_retention_tap_LDADD = $(DAEMON_TEST_LIBS)
check_PROGRAMS += t/unit/5020-spool.tap
t_unit_5020_spool_tap_SOURCES = t/unit/5020-spool.c $(DATA_TEST_SOURCES)
t_unit_5020_spool_tap_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
t_unit_5020_spool_tap_LDADD = $(DAEMON_TEST_LIBS)
check_PROGRAMS += t/unit/5021-replay.tap
t_unit_5021_replay_tap_SOURCES = t/unit/5021-replay.c $(DATA_TEST_SOURCES)
t_unit_5021_replay_tap_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
t_unit_5021_replay_tap_LDADD = $(DAEMON_TEST_LIBS)
