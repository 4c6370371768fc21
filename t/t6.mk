# family t6: check_PROGRAMS += t/unit/6NNN-name.tap (with _SOURCES, _LDADD), dist_check_SCRIPTS += t/sh/t6NNN-name.t
check_PROGRAMS += t/unit/6011-pgcopy.tap
t_unit_6011_pgcopy_tap_CPPFLAGS = $(AM_CPPFLAGS) $(PQ_CFLAGS)
t_unit_6011_pgcopy_tap_SOURCES = t/unit/6011-pgcopy.c
t_unit_6011_pgcopy_tap_LDADD = libtap.a libpostgres.a $(SHARED_LIBS) $(PQ_LIBS)
# the daemon's end of fd 3, for tests of every loader: a script from stdin, answers as JSON
noinst_PROGRAMS += t/lib/loader-driver
t_lib_loader_driver_SOURCES = t/lib/loader-driver.c
t_lib_loader_driver_LDADD = $(SHARED_LIBS)
LOADER_TEST_LIBS = libtap.a $(LOADER_LIBS)
check_PROGRAMS += t/unit/6001-plan.tap t/unit/6002-rows.tap t/unit/6003-jwt.tap
t_unit_6003_jwt_tap_SOURCES = t/unit/6003-jwt.c
t_unit_6003_jwt_tap_LDADD = $(LOADER_TEST_LIBS)
t_unit_6001_plan_tap_SOURCES = t/unit/6001-plan.c
t_unit_6001_plan_tap_LDADD = $(LOADER_TEST_LIBS)
t_unit_6002_rows_tap_SOURCES = t/unit/6002-rows.c
t_unit_6002_rows_tap_LDADD = $(LOADER_TEST_LIBS)
dist_check_SCRIPTS += t/sh/t6001-loader-sqlite.t t/sh/t6002-loader-postgres.t t/sh/t6003-postgres-faults.t
EXTRA_DIST += t/lib/loader-contract.sh t/lib/pg-proxy.py
check_PROGRAMS += t/unit/6004-record.tap
t_unit_6004_record_tap_SOURCES = t/unit/6004-record.c
t_unit_6004_record_tap_LDADD = $(LOADER_TEST_LIBS)
check_PROGRAMS += t/unit/6020-redshift.tap
t_unit_6020_redshift_tap_SOURCES = t/unit/6020-redshift.c
t_unit_6020_redshift_tap_LDADD = libtap.a libredshift.a libpostgres.a $(SHARED_LIBS) $(PQ_LIBS)
dist_check_SCRIPTS += t/sh/t6010-loader-s3.t
