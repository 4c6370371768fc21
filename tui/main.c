/*
 * main.c - stitch-console: options, the language, one look at whether there is a terminal. --once prints the state and ends, for scripts and for
 * terminals that can do nothing.
 */
#include <getopt.h>

#include "app.h"
#include "cells.h"
#include "i18n.h"
#include "once.h"
#include "terminal.h"
#include "version.h"
#include "view.h"

static void usage(FILE *out)
{
	fputs(_("Usage: stitch-console [--socket PATH] [--readonly]\n"
		"       stitch-console --once [--json]\n"
		"  --socket PATH  the daemon's control socket\n"
		"  --readonly     acting keys are absent\n"
		"  --once         print the state and end: exit status 0 fine, 10 warning, 20 failing, 3 no daemon\n"
		"  --json         with --once: as JSON\n"
		"  --version, --help\n"),
		out);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"socket", required_argument, NULL, 's'}, {"readonly", no_argument, NULL, 'r'}, {"once", no_argument, NULL, 'o'},
		{"json", no_argument, NULL, 'j'}, {"version", no_argument, NULL, 'v'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	struct app app = {.readonly = false};
	const char *socket_path = NULL;
	bool once = false, as_json = false;
	int c, rc;

	i18n_setup();
#if ENABLE_NLS
	/* cells.c reads UTF-8 and leaves out what the terminal's character set lacks */
	bind_textdomain_codeset("stitch", "UTF-8");
#endif
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'v') {
			puts("stitch-console " STITCH_VERSION);
			return 0;
		}
		if (c == 'h' || c == '?') {
			usage(c == 'h' ? stdout : stderr);
			return c == 'h' ? 0 : 2;
		}
		if (c == 's')
			socket_path = optarg;
		app.readonly |= c == 'r';
		once |= c == 'o';
		as_json |= c == 'j';
	}
	if (optind < argc || (as_json && !once)) {
		usage(stderr);
		return 2;
	}
	cells_setup(terminal_plain());
	model_init(&app.m, rpc_client_path(socket_path));
	app.acts = json_array();
	if (once)
		rc = once_print(app.m.path, as_json);
	else
		rc = terminal_check() ? 2 : app_run(&app);
	wizard_draft_free(app.draft);
	json_decref(app.acts);
	model_free(&app.m);
	return rc;
}
