/*
 * hooks.c - see hooks.h. The body has the fields of the public documentation of post-load webhooks, and ours beside them. A receiver has 30 seconds; what is no 2xx is
 * tried five times more with growing pauses, then given up with an event, until somebody replays it. One try a destination and round: a receiver that hangs
 * delays the others by its 30 seconds, not more.
 *
 * What can go wrong: the receiver's address is a secret of its own kind (it often holds a token), so neither errors nor logs name more of it than its host.
 */
#include "daemon/spool/hooks.h"

#include <jansson.h>
#include <stdatomic.h>

#include "daemon/spool/backoff.h"
#include "daemon/spool/hook_sign.h"
#include "daemon/state/hook.h"

#include "http.h"
#include "log.h"
#include "timefmt.h"
#include "xalloc.h"

#define TRIES_MAX 6
#define LOOK NSEC_PER_SEC
#define ANSWER_TIME (30 * NSEC_PER_SEC)
#define LONGEST (3600 * NSEC_PER_SEC)

struct hooks {
	struct stage stage;
	struct state *state;
	const struct seal *seal;
	struct db *db;
	int64_t first;
	_Atomic bool cancelled;
};

/* --- the body --- */

static json_t *iso(int64_t ns)
{
	char text[TIMEFMT_MAX];

	if (!ns)
		return json_null();
	timefmt_iso(ns, 3, text);
	return json_string(text);
}

char *hook_body(const char *destination, const struct load_row *load, uint64_t rows, uint64_t rejected, const char *class, const char *text)
{
	int64_t batched = 0, version = 0;
	bool activates = false;
	json_t *o, *table;
	char *body;

	for (size_t k = 0; k < load->n; k++) {
		const struct batch_row *b = &load->batches[k].batch;

		batched = batched ? MIN(batched, b->created) : b->created;
		version = MAX(version, b->table_version);
		activates |= b->lines > b->records && b->table_version > 0;
	}
	table = json_pack("{s:s, s:s, s:I, s:I, s:n, s:n}", "source_table_name", load->table, "destination_table_name", load->table, "num_rows", (json_int_t)rows,
		"num_rows_rejected", (json_int_t)rejected, "max_time_extracted", "bookmark_metadata");
	o = json_pack("{s:s, s:o, s:s, s:b, s:s, s:s, s:I, s:[o], s:s, s:s, s:s, s:I, s:I}", "version", "1.0", "minimum_sdc_batched_at", iso(batched), "integration_name", load->source,
		"new_version", !class && activates, "source_root_table_name", load->table, "destination_root_table_name", load->table, "table_version", (json_int_t)version, "tables",
		table, "status", class ? "failed" : "loaded", "destination", destination, "schema", load->schema, "load", (json_int_t)load->id, "attempt",
		(json_int_t)load->attempt);
	/* a loader's words may be cut within a character */
	if (o && class) {
		json_t *error = json_pack("{s:s, s:s*}", "class", class, "text", text);

		json_object_set_new(o, "error", error ? error : json_pack("{s:s}", "class", class));
	}
	body = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	return body;
}

/* --- a try --- */

static int on_tick(void *arg)
{
	struct hooks *h = arg;

	return atomic_load(&h->cancelled);
}

static int sign(struct hooks *h, const struct dest_rules *rules, struct str body, char out[100], struct err *e)
{
	struct buf secret = BUF_INIT, hex = BUF_INIT;
	unsigned char mac[32];
	int rc = 0;

	out[0] = '\0';
	if (!rules->hook_secret)
		return 0;
	if (seal_get(h->seal, str_c(rules->hook_secret), &secret, e))
		rc = err_wrap(e, "hook_secret");
	else if (!hook_sign(buf_str(&secret), body, mac))
		rc = err_set(e, ERR_INTERNAL, "no HMAC-SHA256");
	if (!rc) {
		buf_add_hex(&hex, mac, sizeof(mac));
		snprintf(out, 100, "X-Stitch-Signature: sha256=%s", buf_cstr(&hex));
	}
	if (secret.data)
		explicit_bzero(secret.data, secret.len);
	buf_free(&secret);
	buf_free(&hex);
	return rc;
}

/* *after: when the receiver wants it again, 0: it does not say. */
static int post(struct hooks *h, const struct dest_rules *rules, const struct hook_row *r, int64_t *after, struct err *e)
{
	struct http_opts o = {.total_timeout = ANSWER_TIME, .idle_timeout = ANSWER_TIME, .ca_file = rules->hook_ca_file, .tick = on_tick, .tick_arg = h};
	char delivery[60], signature[100];
	const char *headers[] = {"Content-Type: application/json", "User-Agent: StitchLoadingWebhook", delivery, signature, NULL};
	struct http_request q = {.method = "POST", .url = rules->hook_url, .headers = headers, .body = str_c(r->body), .answer_max = 64u << 10};
	struct http_answer a = HTTP_ANSWER_INIT;
	struct http *http;
	int rc;

	*after = 0;
	snprintf(delivery, sizeof(delivery), "X-Stitch-Delivery: %" PRId64, r->id);
	if (sign(h, rules, q.body, signature, e))
		return -1;
	if (!signature[0])
		headers[3] = NULL;
	http = http_new(&o);
	rc = http_send(http, &q, &a, e);
	if (!rc && (a.status < 200 || a.status > 299)) {
		*after = MAX(http_retry_after(&a), 0);
		rc = err_set(e, ERR_TRANSIENT, "the receiver answered %u", a.status);
	}
	http_answer_free(&a);
	http_free(http);
	return rc;
}

struct tried {
	struct hook_row *row;
	const char *destination;
	int64_t now;
};

static int run_tried(struct db *db, void *arg, struct err *e)
{
	struct tried *t = arg;
	char text[700];
	struct event_row ev = {.at = t->now, .text = text};

	if (db_hook_tried(db, t->row, t->now, e))
		return -1;
	if (t->row->state != HOOK_GIVEN_UP)
		return 0;
	ev.level = (char *)(uintptr_t)"error";
	ev.kind = (char *)(uintptr_t)"hook-failed";
	ev.object = (char *)(uintptr_t)t->destination;
	snprintf(text, sizeof(text), "hook %" PRId64 " of %.150s into %s was given up after %u tries: %.300s (stitchctl hook replay %" PRId64 ")", t->row->id, t->row->table,
		t->destination, t->row->tries, t->row->error, t->row->id);
	return db_event_add(db, &ev, e);
}

static void try_one(struct hooks *h, struct hook_row *r)
{
	struct destination_row d = {.id = 0};
	struct dest_rules rules = {.zone = NULL};
	struct err e = ERR_INIT, why = ERR_INIT;
	struct tried t = {.row = r};
	int64_t after = 0;

	if (db_destination_get_id(h->db, r->destination_id, &d, &e))
		return;
	if (dest_rules_read(d.settings, &rules, NULL, &why))
		err_clear(&why);
	if (!rules.hook_url || d.deleted)
		err_set(&why, ERR_CONFIG, "the destination has no hook_url any more");
	else if (!post(h, &rules, r, &after, &why))
		err_clear(&why);
	if (atomic_load(&h->cancelled) && why.code)
		goto out; /* stopped in the middle: it counts as no try */
	t.destination = d.name;
	t.now = now_get().real;
	r->tries++;
	free(r->error);
	r->error = xstrdup(why.text);
	r->state = !why.code ? HOOK_DELIVERED : r->tries >= TRIES_MAX || !rules.hook_url || d.deleted ? HOOK_GIVEN_UP : HOOK_WAITS;
	r->not_before = r->state == HOOK_WAITS ? t.now + MAX(backoff_delay(h->first, LONGEST, r->tries, (uint64_t)r->id), after) : 0;
	if (why.code)
		log_warn("hook %" PRId64 " of %s: %s", r->id, d.name, why.text);
	if (state_call(h->state, run_tried, &t, &e))
		log_err("hook %" PRId64 ": its outcome could not be written: %s", r->id, e.text);
out:
	dest_rules_free(&rules);
	destination_row_free(&d);
}

static int64_t step(void *self, struct now now)
{
	struct hooks *h = self;
	struct hook_row *due = NULL;
	struct err e = ERR_INIT;
	int64_t next;
	size_t n = 0;

	if ((!h->db && !(h->db = state_reader(h->state, &e))) || db_hook_due(h->db, now.real, &due, &n, &next, &e)) {
		log_err("hooks: %s", e.text);
		return now.mono + 10 * LOOK;
	}
	for (size_t k = 0; k < n && !atomic_load(&h->cancelled); k++)
		try_one(h, &due[k]);
	hook_list_free(due, n);
	return n && !atomic_load(&h->cancelled) ? now.mono : now.mono + LOOK;
}

static const struct stage_ops hooks_ops = {.name = "hooks", .step = step};

struct hooks *hooks_new(struct state *state, const struct seal *seal, int64_t first)
{
	struct hooks *h = xcalloc(1, sizeof(*h));

	h->state = state;
	h->seal = seal;
	h->first = first;
	h->stage.ops = &hooks_ops;
	h->stage.self = h;
	h->stage.mb = mailbox_new(1, 1);
	return h;
}

struct stage *hooks_stage(struct hooks *h)
{
	return &h->stage;
}

void hooks_cancel(struct hooks *h)
{
	atomic_store(&h->cancelled, true);
}

void hooks_free(struct hooks *h)
{
	if (!h)
		return;
	state_reader_close(h->db);
	mailbox_free(h->stage.mb);
	free(h);
}
