/*
 * terminal.c - TERM, character set, capabilities. In a file of its own: term.h defines macros by everyday names.
 */
#include "terminal.h"

#include <curses.h>
#include <langinfo.h>
#include <term.h>
#include <unistd.h>

#include "i18n.h"

static bool begins(const char *term, const char *const *names)
{
	for (; term && *names; names++)
		if (strncmp(term, *names, strlen(*names)) == 0)
			return true;
	return false;
}

bool terminal_plain(void)
{
	static const char *const plain[] = {"linux", "vt", "ansi", "dumb", "cons", NULL};
	const char *term = getenv("TERM");

	return strcmp(nl_langinfo(CODESET), "UTF-8") != 0 || !term || begins(term, plain);
}

bool terminal_extends(void)
{
	static const char *const known[] = {"xterm", "tmux", "screen", "foot", "alacritty", "rxvt", "kitty", "wezterm", NULL};

	return begins(getenv("TERM"), known);
}

int terminal_check(void)
{
	bool moves = false;
	int rc;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
		fputs(_("stitch-console: this is not a terminal; use stitch-console --once [--json], or stitchctl status\n"), stderr);
		return -1;
	}
	/* initscr() would end the program with a riddle */
	if (setupterm(NULL, STDOUT_FILENO, &rc) == OK && cur_term) {
		moves = cursor_address != NULL;
		del_curterm(cur_term);
	}
	if (moves)
		return 0;
	fprintf(stderr, _("stitch-console: the terminal type \"%s\" is not known or cannot move its cursor; set TERM (xterm-256color, linux, vt100), or use --once\n"),
		getenv("TERM") ? getenv("TERM") : "");
	return -1;
}
