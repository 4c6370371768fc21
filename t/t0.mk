# family t0: shared/
check_PROGRAMS += t/unit/0001-base.tap
t_unit_0001_base_tap_SOURCES = t/unit/0001-base.c
t_unit_0001_base_tap_LDADD = $(SHARED_TEST_LIBS)
dist_check_SCRIPTS += t/sh/t0900-house.t t/sh/t0901-shell.t t/sh/t0902-test-lib.t t/sh/t0910-man.t t/sh/t0911-install.t
check_PROGRAMS += t/unit/0070-loop.tap
t_unit_0070_loop_tap_SOURCES = t/unit/0070-loop.c
t_unit_0070_loop_tap_LDADD = $(SHARED_TEST_LIBS)
check_PROGRAMS += t/unit/0020-rpc.tap
t_unit_0020_rpc_tap_SOURCES = t/unit/0020-rpc.c
t_unit_0020_rpc_tap_LDADD = $(SHARED_TEST_LIBS)
check_PROGRAMS += t/unit/0010-jscan.tap
t_unit_0010_jscan_tap_SOURCES = t/unit/0010-jscan.c
t_unit_0010_jscan_tap_LDADD = $(SHARED_TEST_LIBS)
check_PROGRAMS += t/unit/0011-jwrite.tap
t_unit_0011_jwrite_tap_SOURCES = t/unit/0011-jwrite.c
t_unit_0011_jwrite_tap_LDADD = $(SHARED_TEST_LIBS)
check_PROGRAMS += t/unit/0012-decimal.tap
t_unit_0012_decimal_tap_SOURCES = t/unit/0012-decimal.c
t_unit_0012_decimal_tap_LDADD = $(SHARED_TEST_LIBS)
check_PROGRAMS += t/unit/0013-timefmt.tap
t_unit_0013_timefmt_tap_SOURCES = t/unit/0013-timefmt.c
t_unit_0013_timefmt_tap_LDADD = $(SHARED_TEST_LIBS)
check_PROGRAMS += t/unit/0021-frame.tap
t_unit_0021_frame_tap_SOURCES = t/unit/0021-frame.c
t_unit_0021_frame_tap_LDADD = $(SHARED_TEST_LIBS)
# the floor of p1-push.sh: a door's work and nothing else
EXTRA_PROGRAMS += t/perf/floor
t_perf_floor_SOURCES = t/perf/floor.c
t_perf_floor_LDADD = $(SHARED_TEST_LIBS) $(ZSTD_LIBS)
t_perf_floor_CPPFLAGS = $(AM_CPPFLAGS) $(ZSTD_CFLAGS)

# figures: make t/perf/jscan-speed && t/perf/jscan-speed FILE (a record a line)
EXTRA_PROGRAMS += t/perf/jscan-speed
t_perf_jscan_speed_SOURCES = t/perf/jscan-speed.c
t_perf_jscan_speed_LDADD = $(SHARED_TEST_LIBS)
t_perf_jscan_speed_CPPFLAGS = $(AM_CPPFLAGS)
if HAVE_YAJL
t_perf_jscan_speed_CPPFLAGS += -DHAVE_YAJL $(YAJL_CFLAGS)
t_perf_jscan_speed_LDADD += $(YAJL_LIBS)
endif
# the same tests of jscan as a machine without SSE2 has it
check_PROGRAMS += t/unit/0015-jscan-plain.tap
t_unit_0015_jscan_plain_tap_SOURCES = t/unit/0010-jscan.c shared/jscan.c
t_unit_0015_jscan_plain_tap_CPPFLAGS = $(AM_CPPFLAGS) -DJSCAN_NO_SSE2
t_unit_0015_jscan_plain_tap_LDADD = $(SHARED_TEST_LIBS)
# jscan against other parsers; yajl only where it is there
check_LIBRARIES += liboracle.a
liboracle_a_SOURCES = t/lib/joracle.c t/lib/joracle.h
ORACLE_TEST_LIBS = liboracle.a $(SHARED_TEST_LIBS)
liboracle_a_CPPFLAGS = $(AM_CPPFLAGS)
if HAVE_YAJL
liboracle_a_CPPFLAGS += -DHAVE_YAJL $(YAJL_CFLAGS)
ORACLE_TEST_LIBS += $(YAJL_LIBS)
endif
check_PROGRAMS += t/unit/0014-jscan-differ.tap
t_unit_0014_jscan_differ_tap_SOURCES = t/unit/0014-jscan-differ.c
t_unit_0014_jscan_differ_tap_LDADD = $(ORACLE_TEST_LIBS)
check_PROGRAMS += t/unit/0030-transit.tap
t_unit_0030_transit_tap_SOURCES = t/unit/0030-transit.c
t_unit_0030_transit_tap_LDADD = $(SHARED_TEST_LIBS)
# shared/s3.h by hand, for shell tests
noinst_PROGRAMS += t/lib/s3-tool
t_lib_s3_tool_SOURCES = t/lib/s3-tool.c
t_lib_s3_tool_LDADD = $(HTTP_LIBS)
dist_check_SCRIPTS += t/sh/t0040-s3.t
check_PROGRAMS += t/unit/0040-xml.tap
t_unit_0040_xml_tap_SOURCES = t/unit/0040-xml.c
t_unit_0040_xml_tap_LDADD = $(SHARED_TEST_LIBS)
check_PROGRAMS += t/unit/0041-cron.tap
t_unit_0041_cron_tap_SOURCES = t/unit/0041-cron.c
t_unit_0041_cron_tap_LDADD = $(SHARED_TEST_LIBS)
