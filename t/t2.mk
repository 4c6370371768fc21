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
