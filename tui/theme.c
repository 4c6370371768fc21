/*
 * theme.c - looks. Eight colours at most, on the terminal's own background, so that dark and light terminals both work; without colours (NO_COLOR,
 * vt100) bold and reverse remain.
 */
#include "theme.h"

#include <curses.h>

#include "i18n.h"

static bool coloured, is_stale;

static const struct {
	short colour; /* -1: the terminal's */
	attr_t attr, plain; /* plain: without colours */
} looks[] = {
	[TH_NORMAL] = {-1, A_NORMAL, A_NORMAL},
	[TH_TITLE] = {-1, A_BOLD, A_BOLD},
	[TH_OK] = {COLOR_GREEN, A_NORMAL, A_NORMAL},
	[TH_WARN] = {COLOR_YELLOW, A_BOLD, A_BOLD},
	[TH_FAIL] = {COLOR_RED, A_BOLD, A_BOLD},
	[TH_DIM] = {-1, A_DIM, A_DIM},
	[TH_SELECT] = {-1, A_REVERSE, A_REVERSE},
	[TH_HEAD] = {COLOR_CYAN, A_NORMAL, A_UNDERLINE},
	[TH_KEY] = {COLOR_CYAN, A_BOLD, A_BOLD},
	[TH_BANNER] = {COLOR_RED, A_REVERSE | A_BOLD, A_REVERSE | A_BOLD},
	[TH_FIELD] = {-1, A_UNDERLINE, A_UNDERLINE},
};

void theme_setup(bool colours)
{
	coloured = colours && has_colors() && start_color() == OK && use_default_colors() == OK;
	for (size_t k = 0; coloured && k < ARRAY_LEN(looks); k++)
		if (init_pair((short)(k + 1), looks[k].colour, -1) != OK)
			coloured = false;
}

void theme_stale(bool stale)
{
	is_stale = stale;
}

void theme_set(enum theme_role role)
{
	if (is_stale && role != TH_BANNER && role != TH_KEY && role != TH_FIELD) {
		attrset(role == TH_SELECT ? A_REVERSE | A_DIM : A_DIM);
		return;
	}
	attrset(coloured ? looks[role].attr | (attr_t)COLOR_PAIR((int)role + 1) : looks[role].plain);
}

const char *theme_state(const char *state, enum theme_role *role)
{
	static const struct {
		const char *state, *word;
		enum theme_role role;
	} words[] = {{"ok", "OK", TH_OK}, {"idle", "OK", TH_OK}, {"done", "OK", TH_OK}, {"info", "OK", TH_NORMAL}, {"active", "LOAD", TH_OK}, {"ready", "WAIT", TH_NORMAL},
		{"deferred", "WARN", TH_WARN}, {"held", "HELD", TH_WARN}, {"paused", "HELD", TH_WARN}, {"warn", "WARN", TH_WARN}, {"warning", "WARN", TH_WARN},
		{"rejected", "WARN", TH_WARN}, {"discarded", "GONE", TH_DIM}, {"corrupt", "FAIL", TH_FAIL}, {"failing", "FAIL", TH_FAIL}, {"fail", "FAIL", TH_FAIL},
		{"error", "FAIL", TH_FAIL}, {"err", "FAIL", TH_FAIL}};

	for (size_t k = 0; k < ARRAY_LEN(words); k++)
		if (strcmp(words[k].state, state) == 0) {
			*role = words[k].role;
			return words[k].word;
		}
	*role = TH_NORMAL;
	return "?";
}
