# family t4: check_PROGRAMS += t/unit/4NNN-name.tap (with _SOURCES, _LDADD), dist_check_SCRIPTS += t/sh/t4NNN-name.t
check_PROGRAMS += t/unit/4001-names.tap t/contract/store.tap
t_unit_4001_names_tap_SOURCES = t/unit/4001-names.c
t_unit_4001_names_tap_LDADD = $(DAEMON_TEST_LIBS)
t_contract_store_tap_SOURCES = t/contract/store.c
t_contract_store_tap_LDADD = $(QUEUE_TEST_LIBS)
dist_check_SCRIPTS += t/sh/t4010-store-s3.t
