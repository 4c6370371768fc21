/*
 * 5002-config.c - clients, sources, tokens, destinations, connections, pauses, events, audit; and that the ledger balances whatever is connected, disconnected or
 * deleted while batches are cut. In memory, one thread.
 */
#include "tap.h"

#include "daemon/state/state_priv.h"
#include "xalloc.h"

#define C(s) ((char *)(uintptr_t)(s))

static struct db *db;

static void good(int rc, const struct err *e, const char *what)
{
	if (!ok(rc == 0, "%s", what))
		diag("%s", e->text);
}

static void refused(int rc, enum err_code code, const struct err *e, const char *what)
{
	if (!ok(rc == -1 && e->code == code, "%s: %s", what, rc ? e->text : "taken"))
		diag("wanted %s, seen %s", err_name(code), err_name(e->code));
}

static bool changed(void)
{
	bool c = db->config_changed;

	db->config_changed = false;
	return c;
}

static int64_t new_source(const char *name)
{
	struct source_row r = {.client_id = 1, .name = C(name), .kind = C("import"), .settings = C("{\"a\":1}"), .created = 5};
	struct err e = ERR_INIT;
	int64_t id = 0;

	good(db_source_create(db, &r, &id, &e), &e, name);
	return id;
}

static int64_t new_destination(const char *name)
{
	struct destination_row r = {.name = C(name), .kind = C("sqlite"), .settings = C("{\"path\":\"x\"}"), .created = 6};
	struct err e = ERR_INIT;
	int64_t id = 0;

	good(db_destination_create(db, &r, &id, &e), &e, name);
	return id;
}

static void test_sources(void)
{
	struct source_row r = {.client_id = 1, .name = C("shop"), .kind = C("import")}, out;
	struct source_row *list;
	struct err e = ERR_INIT;
	int64_t client, id, other, again;
	size_t n;

	good(db_client_create(db, "second", 1, &client, &e), &e, "a client");
	ok(client == 2, "the default one is 1");
	refused(db_client_create(db, "second", 1, &client, &e), ERR_EXISTS, &e, "twice");
	id = new_source("shop");
	ok(changed(), "a new source changes the configuration");
	refused(db_source_create(db, &r, &other, &e), ERR_EXISTS, &e, "a name is taken once");
	r.client_id = 99;
	r.name = C("stray");
	refused(db_source_create(db, &r, &other, &e), ERR_NOT_FOUND, &e, "a client that is not there");
	other = new_source("other");
	good(db_source_get(db, "shop", &out, &e), &e, "get by name");
	ok(out.id == id && out.client_id == 1 && strcmp(out.kind, "import") == 0 && strcmp(out.settings, "{\"a\":1}") == 0 && out.created == 5 && !out.deleted,
		"with all that was given");
	source_row_free(&out);
	refused(db_source_get(db, "nobody", &out, &e), ERR_NOT_FOUND, &e, "a name that is not there");
	refused(db_source_get_id(db, 99, &out, &e), ERR_NOT_FOUND, &e, "an id that is not there");
	changed();
	good(db_source_update(db, id, "{}", &e), &e, "new settings");
	ok(changed(), "change the configuration");
	refused(db_source_update(db, 99, "{}", &e), ERR_NOT_FOUND, &e, "not of a source that is not there");
	ok(db_source_list(db, 0, 1, &list, &n, &e) == 0 && n == 1 && list[0].id == id, "a page of one");
	source_list_free(list, n);
	ok(db_source_list(db, id, 10, &list, &n, &e) == 0 && n == 1 && list[0].id == other, "and the rest");
	source_list_free(list, n);
	good(db_source_delete(db, id, 77, &e), &e, "delete");
	refused(db_source_delete(db, id, 78, &e), ERR_NOT_FOUND, &e, "not twice");
	refused(db_source_update(db, id, "{}", &e), ERR_NOT_FOUND, &e, "nor changed after it");
	good(db_source_get_id(db, id, &out, &e), &e, "by id it is there still");
	ok(out.deleted == 77, "marked");
	source_row_free(&out);
	again = new_source("shop");
	ok(again > id, "its name is free, its id is not");
	good(db_source_delete(db, again, 79, &e), &e, "clean");
	good(db_source_delete(db, other, 79, &e), &e, "up");
}

static void test_tokens(void)
{
	unsigned char a[32] = "a", b[32] = "b", c[32] = "c", l[32] = "l", l2[32] = "l2";
	struct source_row out = {.id = 0};
	struct token_row *list;
	struct err e = ERR_INIT;
	int64_t s = new_source("tokens"), id_a, id_b, id, local;
	size_t n;

	changed();
	good(db_token_create(db, s, a, "at_aa...", 10, &id_a, &e), &e, "a token");
	ok(changed(), "changes the configuration");
	good(db_token_create(db, s, b, "at_bb...", 11, &id_b, &e), &e, "a second");
	refused(db_token_create(db, s, c, "at_cc...", 12, &id, &e), ERR_STATE, &e, "not a third");
	good(db_token_create(db, s, l, "local", 12, &local, &e), &e, "but the one of this machine");
	good(db_token_create(db, s, l2, "local", 13, &local, &e), &e, "and a new one of it");
	refused(db_token_find(db, l, &out, &e), ERR_NOT_FOUND, &e, "which replaces the last");
	refused(db_token_create(db, 99, c, "at_cc...", 12, &id, &e), ERR_NOT_FOUND, &e, "not for a source that is not there");
	ok(db_token_list(db, s, &list, &n, &e) == 0 && n == 3 && list[0].id == id_a && strcmp(list[0].hint, "at_aa...") == 0 && list[0].created == 10, "listed, oldest first");
	token_list_free(list, n);
	ok(db_token_find(db, b, &out, &e) == 0 && out.id == s, "found by its hash");
	source_row_free(&out);
	refused(db_token_find(db, c, &out, &e), ERR_NOT_FOUND, &e, "an unknown one");
	good(db_token_revoke(db, s, 0, 20, &e), &e, "the oldest is revoked");
	refused(db_token_find(db, a, &out, &e), ERR_NOT_FOUND, &e, "and known no more");
	refused(db_token_revoke(db, s, id_a, 20, &e), ERR_NOT_FOUND, &e, "nor revoked twice");
	refused(db_token_revoke(db, s + 1, id_b, 20, &e), ERR_NOT_FOUND, &e, "nor by another source");
	good(db_source_delete(db, s, 30, &e), &e, "the source is deleted");
	ok(db_token_find(db, b, &out, &e) == 0 && out.deleted == 30, "a token that lived until then tells of a deleted source");
	source_row_free(&out);
	refused(db_token_find(db, a, &out, &e), ERR_NOT_FOUND, &e, "one that was revoked before does not");
	ok(db_token_list(db, s, &list, &n, &e) == 0 && n == 0, "none is listed");
	token_list_free(list, n);
}

static void test_destinations(void)
{
	struct destination_row r = {.name = C("pg"), .kind = C("postgres")}, out;
	struct destination_row *list;
	struct err e = ERR_INIT;
	int64_t id = new_destination("pg"), other;
	uint64_t discarded;
	size_t n;

	refused(db_destination_create(db, &r, &other, &e), ERR_EXISTS, &e, "a name is taken once");
	changed();
	good(db_destination_outcome(db, id, "transient", "no route", 100, 200, &e), &e, "an attempt fails");
	ok(!changed(), "that is no change of the configuration");
	good(db_destination_outcome(db, id, "config", "no right", 150, 300, &e), &e, "and again");
	good(db_destination_get(db, "pg", &out, &e), &e, "get");
	ok(strcmp(out.error_class, "config") == 0 && strcmp(out.error, "no right") == 0 && out.error_since == 100 && out.not_before == 300 && out.attempts == 2,
		"the last error, since when, until when, how often");
	destination_row_free(&out);
	good(db_destination_update(db, id, "{\"path\":\"y\"}", &e), &e, "new settings");
	good(db_destination_get_id(db, id, &out, &e), &e, "get by id");
	ok(!out.not_before && !out.attempts && strcmp(out.settings, "{\"path\":\"y\"}") == 0, "end the back-off");
	destination_row_free(&out);
	good(db_destination_outcome(db, id, "", "", 400, 0, &e), &e, "it goes well again");
	good(db_destination_get(db, "pg", &out, &e), &e, "get");
	ok(!*out.error_class && !*out.error && !out.error_since && !out.attempts, "and nothing is left of the error");
	destination_row_free(&out);
	refused(db_destination_outcome(db, 99, "", "", 1, 0, &e), ERR_NOT_FOUND, &e, "one that is not there");
	refused(db_destination_update(db, 99, "{}", &e), ERR_NOT_FOUND, &e, "nor changed");
	refused(db_destination_get_id(db, 99, &out, &e), ERR_NOT_FOUND, &e, "nor got");
	good(db_destination_delete(db, id, 500, &discarded, &e), &e, "delete");
	refused(db_destination_delete(db, id, 500, &discarded, &e), ERR_NOT_FOUND, &e, "not twice");
	refused(db_destination_get(db, "pg", &out, &e), ERR_NOT_FOUND, &e, "its name is free");
	ok(db_destination_list(db, &list, &n, &e) == 0 && n == 0, "it is not listed");
	destination_list_free(list, n);
}

static void test_pauses(void)
{
	struct pause_row p = {.kind = PAUSE_TABLE, .object_id = 7, .who = C("uid 0"), .reason = C("migration"), .since = 3, .until = 9}, *list;
	struct err e = ERR_INIT;
	size_t n;

	changed();
	good(db_pause_set(db, &p, &e), &e, "a pause");
	ok(changed(), "changes the configuration");
	p.reason = NULL;
	p.until = 0;
	good(db_pause_set(db, &p, &e), &e, "is replaced");
	ok(db_pause_list(db, &list, &n, &e) == 0 && n == 1 && list[0].kind == PAUSE_TABLE && list[0].object_id == 7 && strcmp(list[0].who, "uid 0") == 0 &&
		!*list[0].reason && list[0].since == 3 && list[0].until == 0, "and told");
	pause_list_free(list, n);
	refused(db_pause_clear(db, PAUSE_SOURCE, 7, &e), ERR_NOT_FOUND, &e, "another kind is not paused");
	good(db_pause_clear(db, PAUSE_TABLE, 7, &e), &e, "cleared");
	refused(db_pause_clear(db, PAUSE_TABLE, 7, &e), ERR_NOT_FOUND, &e, "once");
}

static void test_journal(void)
{
	struct event_row *ev, in = {.at = 1, .level = C("info"), .kind = C("k"), .object = C("o"), .text = C("t")};
	struct audit_row *au, act = {.at = 2, .who = C("w"), .action = C("a"), .object = C("shop"), .before = C("{}")};
	struct err e = ERR_INIT;
	int64_t first, id;
	size_t n;

	for (int i = 0; i < 3; i++)
		good(db_event_add(db, &in, &e), &e, "an event");
	ok(db_event_list(db, 0, 2, true, &ev, &n, &e) == 0 && n == 2 && ev[0].id > ev[1].id && strcmp(ev[0].text, "t") == 0, "the newest two");
	id = ev[1].id;
	event_list_free(ev, n);
	ok(db_event_list(db, id, 10, true, &ev, &n, &e) == 0 && n == 1, "and the one before");
	first = ev[0].id;
	event_list_free(ev, n);
	ok(db_event_list(db, first, 10, false, &ev, &n, &e) == 0 && n == 2 && ev[0].id == id, "or what came after it, oldest first");
	event_list_free(ev, n);
	good(db_audit_begin(db, &act, &first, &e), &e, "an act");
	act.object = C("pg");
	good(db_audit_begin(db, &act, &id, &e), &e, "another");
	ok(db_audit_list(db, "shop", 0, 10, &au, &n, &e) == 0 && n == 1 && au[0].id == first && !au[0].result && !au[0].after && strcmp(au[0].before, "{}") == 0,
		"without an end as long as nobody saw it");
	audit_list_free(au, n);
	good(db_audit_end(db, first, "done", "{\"x\":1}", &e), &e, "its end");
	ok(db_audit_list(db, NULL, 0, 10, &au, &n, &e) == 0 && n == 2 && au[0].id == id && strcmp(au[1].result, "done") == 0 && strcmp(au[1].after, "{\"x\":1}") == 0,
		"all, newest first");
	audit_list_free(au, n);
	ok(db_audit_list(db, NULL, id, 10, &au, &n, &e) == 0 && n == 1 && au[0].id == first, "a page of it");
	audit_list_free(au, n);
	refused(db_audit_end(db, 99, "done", NULL, &e), ERR_NOT_FOUND, &e, "an act that is not there");
}

/* --- connections and the ledger --- */

static uint64_t next_offset;

static void cut(int64_t source_id, const char *table, uint64_t records)
{
	struct cut c = {.source_id = source_id, .table = str_c(table), .first_offset = next_offset, .last_offset = next_offset, .records = records, .lines = records,
		.bytes = 100 * records, .reason = "size", .first_received = 1000, .last_received = 1000, .cut_at = (int64_t)(2000 + next_offset)};
	char path[64];
	struct err e = ERR_INIT;

	snprintf(path, sizeof(path), "file-%d", (int)next_offset);
	c.path = str_c(path);
	c.position.read_from = ++next_offset;
	if (db_cut(db, &c, &e))
		bail("cut: %s", e.text);
}

static int64_t value(const char *sql)
{
	sqlite3_stmt *s;
	int64_t v;

	if (sqlite3_prepare_v2(db->h, sql, -1, &s, NULL) != SQLITE_OK || sqlite3_step(s) != SQLITE_ROW)
		bail("%s: %s", sql, sqlite3_errmsg(db->h));
	v = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return v;
}

static int64_t tally(int64_t destination_id, const char *column)
{
	char sql[200];

	snprintf(sql, sizeof(sql), "SELECT ifnull(sum(%s), -1) FROM tally WHERE destination_id = %d", column, (int)destination_id);
	return value(sql);
}

/* For each destination that a table's source feeds (0: when there is none) all that was taken is accounted for. */
static void balances(const char *when)
{
	is_int(0, value("SELECT count(*) FROM tbl t LEFT JOIN connection c ON c.source_id = t.source_id"
			" LEFT JOIN tally y ON y.table_id = t.id AND y.destination_id = ifnull(c.destination_id, 0)"
			" WHERE t.taken + t.repeats - t.reread <> ifnull(y.before + y.spooled + y.loaded + y.rejected + y.discarded, 0)"), "the ledger balances %s", when);
}

static void test_connections(void)
{
	int64_t s = new_source("ledger"), a = new_destination("first"), b = new_destination("second");
	struct connection_row *list;
	struct err e = ERR_INIT;
	uint64_t jobs;
	size_t n;

	cut(s, "t", 10);
	balances("without a destination");
	is_int(10, tally(0, "spooled"), "what nobody gets waits under 0");
	changed();
	good(db_connect(db, s, a, "s1", 0, 1, &jobs, &e), &e, "connect");
	ok(changed(), "changes the configuration");
	ok(jobs == 1 && tally(a, "spooled") == 10 && tally(a, "before") == 0 && tally(0, "spooled") <= 0, "the first destination gets what waited");
	balances("then");
	refused(db_connect(db, s, a, "s2", 0, 1, &jobs, &e), ERR_EXISTS, &e, "not twice");
	refused(db_connect(db, s, 99, "s2", 0, 1, &jobs, &e), ERR_NOT_FOUND, &e, "nor to nothing");
	refused(db_connect(db, 99, a, "s2", 0, 1, &jobs, &e), ERR_NOT_FOUND, &e, "nor from nothing");
	good(db_connect(db, s, b, "s1", 0, 2, &jobs, &e), &e, "a second destination");
	ok(jobs == 0 && tally(b, "before") == 10, "has nothing to do with what was before");
	cut(s, "t", 5);
	cut(s, "u", 3);
	balances("with two");
	ok(tally(a, "spooled") == 18 && tally(b, "spooled") == 8, "and gets what comes");
	ok(db_connection_list(db, &list, &n, &e) == 0 && n == 2 && list[0].source_id == s && list[0].destination_id == a && strcmp(list[0].schema, "s1") == 0 &&
		list[0].created == 1, "both are listed");
	connection_list_free(list, n);
	good(db_disconnect(db, s, b, &e), &e, "disconnect");
	refused(db_disconnect(db, s, b, &e), ERR_NOT_FOUND, &e, "not twice");
	cut(s, "t", 2);
	ok(tally(b, "spooled") == 8, "what waits stays, nothing comes");
	good(db_connect(db, s, b, "s1", 0, 3, &jobs, &e), &e, "connected again");
	balances("then");
	good(db_disconnect(db, s, b, &e), &e, "disconnect the second");
	good(db_disconnect(db, s, a, &e), &e, "and the first");
	balances("with none left");
	cut(s, "t", 4);
	cut(s, "v", 1);
	balances("when more is cut");
	is_int(5, tally(0, "spooled"), "which waits under 0 again");
	good(db_connect(db, s, b, "s1", 0, 4, &jobs, &e), &e, "connect the second first");
	is_int(2, (int64_t)jobs, "it gets both batches");
	balances("then");
	good(db_connect(db, s, a, "s1", 1, 5, &jobs, &e), &e, "the first from the beginning of time");
	balances("then");
	is_int(25, tally(a, "spooled"), "it has all there ever was");
	ok(db_destination_delete(db, a, 6, &jobs, &e) == 0 && jobs == 6, "deleting it discards its %d jobs", (int)jobs);
	ok(tally(a, "spooled") == 0 && tally(a, "discarded") == 25, "which the ledger knows");
	balances("for the other");
	ok(db_destination_delete(db, b, 6, &jobs, &e) == 0 && value("SELECT count(*) FROM connection") == 0, "the last goes, with its connections");
	balances("in the end");
	cut(s, "t", 4);
	balances("and after it");
}

int main(void)
{
	struct err e = ERR_INIT;
	struct state *s = state_open_memory(&e);

	plan_lazy();
	if (!s)
		bail("%s", e.text);
	db = state_reader(s, &e); /* the writer's own: each statement commits by itself */
	test_sources();
	test_tokens();
	test_destinations();
	test_pauses();
	test_journal();
	test_connections();
	state_close(s);
	return done_testing();
}
