# family t8: check_PROGRAMS += t/unit/8NNN-name.tap (with _SOURCES, _LDADD), dist_check_SCRIPTS += t/sh/t8NNN-name.t
check_PROGRAMS += t/unit/8001-table.tap
t_unit_8001_table_tap_SOURCES = t/unit/8001-table.c
t_unit_8001_table_tap_LDADD = libtap.a $(CONSOLE_LIBS)
