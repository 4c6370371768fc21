# family t3: check_PROGRAMS += t/unit/3NNN-name.tap (with _SOURCES, _LDADD), dist_check_SCRIPTS += t/sh/t3NNN-name.t
check_PROGRAMS += t/unit/3001-cut.tap
t_unit_3001_cut_tap_SOURCES = t/unit/3001-cut.c
t_unit_3001_cut_tap_LDADD = $(DAEMON_TEST_LIBS)
# the streamery's tests bring a double of the state, with faults
STREAM_TEST_SOURCES = t/lib/stest.c t/lib/stest.h t/lib/fake_state.c t/lib/fake_state.h
check_PROGRAMS += t/unit/3002-batch.tap t/unit/3003-streamery.tap
t_unit_3002_batch_tap_SOURCES = t/unit/3002-batch.c $(STREAM_TEST_SOURCES)
t_unit_3002_batch_tap_LDADD = $(QUEUE_TEST_LIBS)
t_unit_3003_streamery_tap_SOURCES = t/unit/3003-streamery.c $(STREAM_TEST_SOURCES)
t_unit_3003_streamery_tap_LDADD = $(QUEUE_TEST_LIBS)
check_PROGRAMS += t/unit/3004-histories.tap
t_unit_3004_histories_tap_SOURCES = t/unit/3004-histories.c $(STREAM_TEST_SOURCES)
t_unit_3004_histories_tap_LDADD = $(QUEUE_TEST_LIBS)
check_PROGRAMS += t/unit/3006-retention.tap
t_unit_3006_retention_tap_SOURCES = t/unit/3006-retention.c $(STREAM_TEST_SOURCES)
t_unit_3006_retention_tap_LDADD = $(QUEUE_TEST_LIBS)
dist_check_SCRIPTS += t/sh/t3005-batch-file.t
check_PROGRAMS += t/unit/3007-threads.tap
t_unit_3007_threads_tap_SOURCES = t/unit/3007-threads.c $(STREAM_TEST_SOURCES)
t_unit_3007_threads_tap_LDADD = $(QUEUE_TEST_LIBS)
