/*
 * once.c - one system.status, printed as it came (--json) or as lines: the whole, what is wrong, the tables. Text goes through cells_clean() here as
 * well: a name with an escape sequence in it does no more harm in a pipe to a terminal.
 */
#include "once.h"

#include "cells.h"
#include "i18n.h"
#include "model.h"
#include "rpc_client.h"

#define TIMEOUT (10 * NSEC_PER_SEC)
#define EXIT_UNREACHABLE 3

static void print_line(struct buf *b)
{
	struct buf clean = BUF_INIT;

	cells_clean(&clean, buf_str(b), false);
	puts(buf_cstr(&clean));
	buf_free(&clean);
	buf_truncate(b, 0);
}

static void print_problem(const json_t *p, int64_t now)
{
	struct buf b = BUF_INIT;

	buf_addf(&b, "%s %s: %s", strcmp(mj_str(p, "level"), "fail") == 0 ? "FAIL" : "WARN", mj_str(p, "object"), mj_str(p, "text"));
	if (mj_int(p, "since_ns")) {
		buf_adds(&b, _(" (since "));
		cells_time(&b, mj_int(p, "since_ns"), now, false);
		buf_addc(&b, ')');
	}
	print_line(&b);
	buf_free(&b);
}

static void print_table(const json_t *t)
{
	struct buf b = BUF_INIT;

	buf_addf(&b, "%s.%s > %s: ", mj_str(t, "source"), mj_str(t, "table"), mj_str(t, "destination"));
	cells_seconds(&b, mj_real(t, "lag_s"));
	buf_adds(&b, _(" behind, "));
	cells_count(&b, mj_int(t, "waiting"));
	buf_adds(&b, _(" waiting, "));
	cells_count(&b, mj_int(t, "loaded"));
	buf_adds(&b, _(" loaded"));
	print_line(&b);
	buf_free(&b);
}

static void print_text(const json_t *s)
{
	struct buf b = BUF_INIT;
	const char *state = mj_str(s, "state");

	buf_addf(&b, "%s %s  ", strcmp(state, "ok") == 0 ? "OK" : strcmp(state, "warn") == 0 ? "WARN" : "FAIL", mj_str(s, "name"));
	buf_adds(&b, _("in "));
	cells_rate(&b, mj_real(s, "in_rate"));
	buf_adds(&b, _("  loaded "));
	cells_rate(&b, mj_real(s, "load_rate"));
	buf_adds(&b, _("  waiting "));
	cells_count(&b, mj_int(s, "waiting"));
	print_line(&b);
	for (size_t k = 0; k < mj_len(s, "problems"); k++)
		print_problem(mj_at(s, "problems", k), mj_int(s, "now_ns"));
	for (size_t k = 0; k < mj_len(s, "tables"); k++)
		print_table(mj_at(s, "tables", k));
	buf_free(&b);
}

int once_print(const char *path, bool as_json)
{
	struct err e = ERR_INIT;
	struct rpc_client *rpc = rpc_client_open(path, "stitch-console", TIMEOUT, &e);
	json_t *s = rpc ? rpc_client_call(rpc, "system.status", NULL, TIMEOUT, &e) : NULL;
	const char *state;
	int rc = EXIT_UNREACHABLE;

	if (!s) {
		fprintf(stderr, "stitch-console: %s\n", e.text);
	} else {
		state = mj_str(s, "state");
		rc = strcmp(state, "ok") == 0 ? 0 : strcmp(state, "warn") == 0 ? 10 : 20;
		if (!as_json)
			print_text(s);
		else if (json_dumpf(s, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15)) || puts("") == EOF)
			rc = 1;
	}
	json_decref(s);
	rpc_client_free(rpc);
	return rc;
}
