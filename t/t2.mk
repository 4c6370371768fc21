# family t2: the queue
check_LIBRARIES += libqtest.a
libqtest_a_SOURCES = t/lib/qtest.c t/lib/qtest.h
QUEUE_TEST_LIBS = libqtest.a $(DAEMON_TEST_LIBS)
check_PROGRAMS += t/unit/2001-record.tap t/contract/queue.tap
t_unit_2001_record_tap_SOURCES = t/unit/2001-record.c
t_unit_2001_record_tap_LDADD = $(DAEMON_TEST_LIBS)
t_contract_queue_tap_SOURCES = t/contract/queue.c
t_contract_queue_tap_LDADD = $(QUEUE_TEST_LIBS)
check_PROGRAMS += t/unit/2002-log-recover.tap
t_unit_2002_log_recover_tap_SOURCES = t/unit/2002-log-recover.c
t_unit_2002_log_recover_tap_LDADD = $(QUEUE_TEST_LIBS)
check_PROGRAMS += t/unit/2003-log-faults.tap
t_unit_2003_log_faults_tap_SOURCES = t/unit/2003-log-faults.c
t_unit_2003_log_faults_tap_LDADD = $(QUEUE_TEST_LIBS)
noinst_PROGRAMS += t/lib/logdriver
t_lib_logdriver_SOURCES = t/lib/logdriver.c
t_lib_logdriver_LDADD = $(QUEUE_TEST_LIBS)
dist_check_SCRIPTS += t/sh/t2900-log-faults.t t/sh/t2901-log-crash.t
EXTRA_DIST += t/lib/log-faults.sh
.PHONY: log-faults
log-faults: t/lib/logdriver
	for t in t2900-log-faults t2901-log-crash; do ROUNDS=$${ROUNDS:-100} STITCH_TOP_SRCDIR=$(abs_top_srcdir) STITCH_BUILD=$(abs_top_builddir) $(top_srcdir)/t/sh/$$t.t || exit 1; done
# figures: make t/perf/queue-append && t/perf/queue-append DIR
EXTRA_PROGRAMS += t/perf/queue-append
t_perf_queue_append_SOURCES = t/perf/queue-append.c
t_perf_queue_append_LDADD = $(QUEUE_TEST_LIBS)
check_PROGRAMS += t/unit/2010-local.tap
t_unit_2010_local_tap_SOURCES = t/unit/2010-local.c
t_unit_2010_local_tap_LDADD = $(QUEUE_TEST_LIBS)
