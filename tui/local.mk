# programs and files of this folder
bin_PROGRAMS += stitchctl
stitchctl_SOURCES = tui/cells.c tui/cells.h tui/ctl.c tui/ctl.h tui/ctl_args.c tui/ctl_event.c tui/ctl_help.c tui/ctl_print.c tui/ctl_push.c
stitchctl_CFLAGS = $(AM_CFLAGS) $(CURL_CFLAGS)
stitchctl_LDADD = $(SHARED_LIBS) $(CURL_LIBS)
# the console: all but main() in a library, for its unit tests
noinst_LIBRARIES += libconsole.a
libconsole_a_CPPFLAGS = $(AM_CPPFLAGS) $(NCURSES_CFLAGS)
libconsole_a_SOURCES = \
	tui/act.c \
	tui/app.c tui/app.h \
	tui/cells.c tui/cells.h \
	tui/draw.c tui/draw.h \
	tui/keys.c tui/keys.h \
	tui/list.c \
	tui/model.c tui/model.h \
	tui/once.c tui/once.h \
	tui/prompt.c tui/prompt.h \
	tui/table.c tui/table.h \
	tui/terminal.c tui/terminal.h \
	tui/theme.c tui/theme.h \
	tui/view.h \
	tui/view_audit.c tui/view_destinations.c tui/view_help.c tui/view_home.c tui/view_job.c tui/view_log.c tui/view_runbook.c \
	tui/view_sources.c tui/view_spool.c tui/view_tables.c tui/view_wizard.c \
	tui/wizard.c tui/wizard.h
CONSOLE_LIBS = libconsole.a $(NCURSES_LIBS) $(SHARED_LIBS)
bin_PROGRAMS += stitch-console
stitch_console_SOURCES = tui/main.c
stitch_console_CPPFLAGS = $(AM_CPPFLAGS) $(NCURSES_CFLAGS)
stitch_console_LDADD = $(CONSOLE_LIBS)
