/*
 * keys.c - the table of keys. The footer and the help are made from it, and the man page lists the same.
 */
#include "keys.h"

#include <curses.h>

#include "i18n.h"

#define CODE(k) (-(k)) /* a KEY_* of curses, told from characters by its sign */

static const struct key_def defs[] = {
	{K_UP, {'k', CODE(KEY_UP)}, "k", N_("row up"), N_("one row up"), false},
	{K_DOWN, {'j', CODE(KEY_DOWN)}, "j k", N_("down, up"), N_("one row down, up (also the arrows)"), false},
	{K_PAGE_UP, {'B' & 0x1f, CODE(KEY_PPAGE)}, "PgUp", N_("page up"), N_("one page up"), false},
	{K_PAGE_DOWN, {'F' & 0x1f, ' ', CODE(KEY_NPAGE)}, "PgDn", N_("page down"), N_("one page down; PgUp: up"), false},
	{K_FIRST, {'g', CODE(KEY_HOME)}, "g", N_("first"), N_("to the first row"), false},
	{K_LAST, {'G', CODE(KEY_END)}, "g G", N_("first, last"), N_("to the first row, to the last"), false},
	{K_OPEN, {'\r', '\n', CODE(KEY_ENTER), CODE(KEY_RIGHT)}, "Enter", N_("open"), N_("open what is selected"), false},
	{K_BACK, {27, 'q', CODE(KEY_LEFT)}, "Esc", N_("back"), N_("back (also q); on the first screen q leaves"), false},
	{K_QUIT, {'Q'}, "Q", N_("quit"), N_("leave the console from anywhere"), false},
	{K_HELP, {'?', CODE(KEY_F(1))}, "?", N_("help"), N_("the keys that are valid here"), false},
	{K_FILTER, {'/'}, "/", N_("filter"), N_("only rows that match a regular expression (! before it: that do not)"), false},
	{K_SORT, {'s'}, "s", N_("sort"), N_("sort by the next column; after the last one: worst first again"), false},
	{K_COPY, {'c'}, "c", N_("copy"), N_("copy what this is as a stitchctl command (shown as well)"), false},
	{K_ONLY, {'o'}, "o", N_("only this"), N_("only lines about the object of this one; again: all"), false},
	{K_ENDED, {'e'}, "e", N_("ended too"), N_("also jobs that have ended well; again: only what waits or failed"), false},
	/* of the wizard, which reads its keys itself */
	{K_GO_ON, {0}, "Enter", N_("go on"), N_("next field; on the last one: go on"), false},
	{K_TOKEN, {0}, "t", N_("token"), N_("show the token (shown this once), or hide it"), false},
	{K_COMMANDS, {0}, "s", N_("commands"), N_("the same as stitchctl commands"), false},
	{K_HOME, {'1', 'h'}, "1", N_("home"), N_("home: what is wrong, and the lag of each table"), false},
	{K_TABLES, {'2'}, "2", N_("tables"), N_("all tables with their counts"), false},
	{K_SPOOL, {'3'}, "3", N_("spool"), N_("the spool: jobs that wait, run or failed"), false},
	{K_SOURCES, {'4'}, "4", N_("sources"), N_("sources"), false},
	{K_DESTINATIONS, {'5'}, "5", N_("destinations"), N_("destinations and their loaders"), false},
	{K_LOG, {'6', 'l'}, "l", N_("log"), N_("what happened"), false},
	{K_AUDIT, {'7', 'A'}, "A", N_("audit"), N_("who did what, when"), false},
	{K_RUNBOOK, {'@'}, "@", N_("runbook"), N_("what was done in this session, as stitchctl commands"), false},
	{K_PAUSE, {'p'}, "p", N_("pause"), N_("pause this source, table, destination or job (asks first)"), true},
	{K_RESUME, {'r'}, "r", N_("resume"), N_("resume it (asks first)"), true},
	{K_REPLAY, {'R'}, "R", N_("replay"), N_("load this job's batch again: a dry run first, then it asks"), true},
	{K_DISCARD, {'d'}, "d", N_("discard"), N_("discard a job that waits: its id has to be typed; kept in trash for a while"), true},
	{K_TRY, {'t'}, "t", N_("try now"), N_("try now what waits for its next attempt, and cut open batches"), true},
	{K_CHECK, {'v'}, "v", N_("verify"), N_("connect and prove each right that loading needs"), true},
	{K_ADD, {'a'}, "a", N_("add"), N_("the wizard: a push source and where its rows go"), true},
};

enum key_action keys_action(int key, bool is_code)
{
	int wanted = is_code ? -key : key;

	for (size_t k = 0; k < ARRAY_LEN(defs); k++)
		for (size_t i = 0; i < ARRAY_LEN(defs[k].keys) && defs[k].keys[i]; i++)
			if (defs[k].keys[i] == wanted)
				return defs[k].action;
	return K_NONE;
}

const struct key_def *keys_def(enum key_action action)
{
	for (size_t k = 0; k < ARRAY_LEN(defs); k++)
		if (defs[k].action == action)
			return &defs[k];
	return NULL;
}
