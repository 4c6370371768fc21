# family t8: check_PROGRAMS += t/unit/8NNN-name.tap (with _SOURCES, _LDADD), dist_check_SCRIPTS += t/sh/t8NNN-name.t
check_PROGRAMS += t/unit/8001-table.tap
t_unit_8001_table_tap_SOURCES = t/unit/8001-table.c
t_unit_8001_table_tap_LDADD = libtap.a $(CONSOLE_LIBS)
TUI_SCREENS = audit-80x24 destinations-80x24 help-80x24 home-120x40 home-40x10 home-80x24 home-vt100 job-80x24 log-80x24 pause-80x24 sources-80x24 spool-80x24 tables-80x24
dist_check_SCRIPTS += t/tui/t8001-home.t t/tui/t8002-act.t t/tui/t8003-gone.t t/tui/t8004-wizard.t
EXTRA_DIST += t/lib/tui-lib.sh t/tui/fake-server.py t/tui/world.json $(TUI_SCREENS:%=t/tui/%.screen)
dist_check_SCRIPTS += t/sh/t8005-german.t t/tui/t8006-wizard-pg.t
EXTRA_DIST += t/perf/console.py
