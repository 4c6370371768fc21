# family t1: check_PROGRAMS += t/unit/1NNN-name.tap (with _SOURCES, _LDADD), dist_check_SCRIPTS += t/sh/t1NNN-name.t
check_PROGRAMS += t/unit/1001-decode.tap t/unit/1002-encode.tap
t_unit_1001_decode_tap_SOURCES = t/unit/1001-decode.c
t_unit_1001_decode_tap_LDADD = $(DAEMON_TEST_LIBS)
t_unit_1002_encode_tap_SOURCES = t/unit/1002-encode.c
t_unit_1002_encode_tap_LDADD = $(DAEMON_TEST_LIBS)
check_LIBRARIES += libhttptest.a
libhttptest_a_SOURCES = t/lib/httptest.c t/lib/httptest.h
check_PROGRAMS += t/unit/1003-door.tap
t_unit_1003_door_tap_SOURCES = t/unit/1003-door.c
t_unit_1003_door_tap_LDADD = libhttptest.a $(QUEUE_TEST_LIBS)
check_PROGRAMS += t/unit/1004-coding.tap
t_unit_1004_coding_tap_SOURCES = t/unit/1004-coding.c
t_unit_1004_coding_tap_LDADD = $(DAEMON_TEST_LIBS)
dist_check_SCRIPTS += t/sh/t1001-import.t
check_PROGRAMS += t/unit/1010-jschema.tap
t_unit_1010_jschema_tap_SOURCES = t/unit/1010-jschema.c
t_unit_1010_jschema_tap_LDADD = $(DAEMON_TEST_LIBS)
