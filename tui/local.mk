# programs and files of this folder
bin_PROGRAMS += stitchctl
stitchctl_SOURCES = tui/cells.c tui/cells.h tui/ctl.c tui/ctl.h tui/ctl_args.c tui/ctl_event.c tui/ctl_help.c tui/ctl_print.c tui/ctl_push.c
stitchctl_CFLAGS = $(AM_CFLAGS) $(CURL_CFLAGS)
stitchctl_LDADD = $(SHARED_LIBS) $(CURL_LIBS)
