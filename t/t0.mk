# family t0: shared/
check_PROGRAMS += t/unit/0001-base.tap
t_unit_0001_base_tap_SOURCES = t/unit/0001-base.c
t_unit_0001_base_tap_LDADD = $(SHARED_TEST_LIBS)
dist_check_SCRIPTS += t/sh/t0900-house.t t/sh/t0901-shell.t
check_PROGRAMS += t/unit/0070-loop.tap
t_unit_0070_loop_tap_SOURCES = t/unit/0070-loop.c
t_unit_0070_loop_tap_LDADD = $(SHARED_TEST_LIBS)
check_PROGRAMS += t/unit/0020-rpc.tap
t_unit_0020_rpc_tap_SOURCES = t/unit/0020-rpc.c
t_unit_0020_rpc_tap_LDADD = $(SHARED_TEST_LIBS)
