/*
 * method_system.c - the method table itself, status, flush, and what concerns the whole daemon.
 *
 * flush --wait: what was accepted before the call is cut first (the streamery says when that is committed); then every job that existed at that moment in
 * the scope must end, also what is paused or held: it is not loaded, and at the time-out the answer says who holds it up. Jobs made later do not matter, so it
 * ends under load too.
 */
#include "daemon/control/methods.h"

#include "xalloc.h"

#define POLL (50 * NSEC_PER_MSEC)
#define PAGE 500

const struct control_method control_methods[] = {
#define METHOD(name_, words_, role_, spec_, help_, handler_)                                                                                                   \
	{.name = name_, .words = words_, .role = role_, .spec = spec_, .help = help_, .handler = handler_},
#include "methods.def"
#undef METHOD
};
const size_t control_methods_len = ARRAY_LEN(control_methods);

const struct control_method *control_method_find(const char *name)
{
	for (size_t k = 0; k < control_methods_len; k++)
		if (strcmp(control_methods[k].name, name) == 0)
			return &control_methods[k];
	return NULL;
}

/* Both are answered by the connection itself (control.c). */
json_t *method_system_hello(struct control_call *c, struct err *e)
{
	(void)c;
	err_set(e, ERR_INTERNAL, "system.hello");
	return NULL;
}

json_t *method_system_subscribe(struct control_call *c, struct err *e)
{
	(void)c;
	err_set(e, ERR_INTERNAL, "system.subscribe");
	return NULL;
}

json_t *method_system_methods(struct control_call *c, struct err *e)
{
	json_t *list = json_array();

	(void)c;
	(void)e;
	for (size_t k = 0; k < control_methods_len; k++) {
		const struct control_method *m = &control_methods[k];

		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", m->name, "words", m->words, "role", m->role == ACT ? "act" : "look",
			"params", m->spec, "help", m->help));
	}
	return page(list, NULL);
}

json_t *method_system_status(struct control_call *c, struct err *e)
{
	struct snapshot s;
	json_t *v;

	if (snapshot_take(c->ct, c->db, true, &s, e))
		return NULL;
	v = status_json(c->ct, c->db, &s, e);
	snapshot_free(&s);
	return v;
}

/* --- flush --- */

struct scope {
	int64_t source_id; /* 0: all */
	const char *table; /* NULL: all of the source */
};

struct cutting {
	struct streamery_flush f;
	pthread_mutex_t lock; /* guards done, given_up */
	pthread_cond_t more;
	bool done, given_up;
	struct err err;
};

static void cutting_free(struct cutting *k)
{
	pthread_mutex_destroy(&k->lock);
	pthread_cond_destroy(&k->more);
	free(k->f.table);
	free(k);
}

/* The streamery's thread. The one who comes last frees. */
static void cut_done(struct streamery_flush *f)
{
	struct cutting *k = f->arg;
	bool mine;

	pthread_mutex_lock(&k->lock);
	k->done = true;
	k->err = f->err;
	mine = k->given_up;
	pthread_cond_signal(&k->more);
	pthread_mutex_unlock(&k->lock);
	if (mine)
		cutting_free(k);
}

static struct cutting *cut_now(struct control *ct, const struct scope *sc)
{
	struct cutting *k = xcalloc(1, sizeof(*k));

	pthread_mutex_init(&k->lock, NULL);
	pthread_cond_init(&k->more, NULL);
	k->f.source_id = sc->source_id;
	k->f.table = xstrdup(sc->table ? sc->table : "");
	k->f.done = cut_done;
	k->f.arg = k;
	streamery_flush(ct->parts.streamery, &k->f);
	return k;
}

/* Waits for the cut until the deadline; gives k up in any case. 0 it is cut, 1 not yet, -1 failed. */
static int cut_wait(struct control *ct, struct cutting *k, int64_t deadline, struct err *e)
{
	bool done;

	do {
		control_wait(ct, 5 * NSEC_PER_MSEC);
		pthread_mutex_lock(&k->lock);
		done = k->done;
		pthread_mutex_unlock(&k->lock);
	} while (!done && now_get().mono < deadline && !atomic_load(&ct->stopping));
	pthread_mutex_lock(&k->lock);
	done = k->done;
	k->given_up = true;
	if (e)
		*e = k->err;
	pthread_mutex_unlock(&k->lock);
	if (!done)
		return 1;
	cutting_free(k);
	return e && e->code ? -1 : 0;
}

struct left {
	uint64_t jobs, records;
	char why[500]; /* each reason once, as long as there is room */
};

static bool counts(const struct scope *sc, const struct job_row *j, int64_t before)
{
	return j->created <= before && (!sc->source_id || j->source_id == sc->source_id) && (!sc->table || strcmp(j->table, sc->table) == 0);
}

static void paused_text(const struct pause_row *p, const char *what, const char *name, struct buf *out)
{
	bool reason = p->reason && *p->reason;

	buf_addf(out, "%s %.100s is paused by %s%s%.100s%s", what, name, p->who, reason ? " (" : "", reason ? p->reason : "", reason ? ")" : "");
}

/* Why this job waits; nothing to say of one that is next or under way. */
static void add_reason(const struct world *w, const struct job_row *j, struct left *left)
{
	const struct pause_row *p;
	struct buf text = BUF_INIT;
	size_t used = strlen(left->why);
	char table[120];

	snprintf(table, sizeof(table), "%.40s.%.70s", j->source, j->table);
	if ((p = world_pause(w, PAUSE_TABLE, j->table_id)))
		paused_text(p, "table", table, &text);
	else if ((p = world_pause(w, PAUSE_DESTINATION, j->destination_id)))
		paused_text(p, "destination", j->destination, &text);
	else if (j->state == JOB_HELD)
		buf_addf(&text, "job %" PRId64 " of %s is held: %.200s", j->id, table, j->error ? j->error : "");
	else if (j->error && *j->error)
		buf_addf(&text, "%.60s: %.200s", j->destination, j->error);
	if (text.len && used + text.len + 3 < sizeof(left->why) && !strstr(left->why, buf_cstr(&text)))
		snprintf(left->why + used, sizeof(left->why) - used, "; %s", buf_cstr(&text));
	buf_free(&text);
}

/* Jobs in one state that must still end; stops at the first when count is false. */
static int look_for(struct control_call *c, const struct world *w, const struct scope *sc, int64_t before, enum job_state state, bool count, struct left *left,
	struct err *e)
{
	struct job_filter f = {.state = state};
	struct job_row *rows;
	int64_t after = 0;
	size_t n;

	do {
		if (db_job_list(c->db, &f, after, PAGE, &rows, &n, e))
			return -1;
		for (size_t k = 0; k < n; k++) {
			after = rows[k].id;
			if (!counts(sc, &rows[k], before))
				continue;
			left->jobs++;
			left->records += rows[k].records;
			if (!count)
				break;
			add_reason(w, &rows[k], left);
		}
		job_list_free(rows, n);
	} while (n == PAGE && (count || !left->jobs));
	return 0;
}

static int look_at_jobs(struct control_call *c, const struct scope *sc, int64_t before, bool count, struct left *left, struct err *e)
{
	static const enum job_state waiting[] = {JOB_HELD, JOB_READY, JOB_DEFERRED, JOB_ACTIVE};
	struct world w;
	int rc = 0;

	*left = (struct left){.jobs = 0};
	if (world_load(c->db, &w, e))
		return -1;
	/* in the order in which a job goes on, or it would slip through between two looks; the way back is seen by the next look */
	for (size_t k = 0; k < ARRAY_LEN(waiting) && !rc && (count || !left->jobs); k++)
		rc = look_for(c, &w, sc, before, waiting[k], count, left, e);
	world_free(&w);
	return rc;
}

static json_t *wait_loaded(struct control_call *c, const struct scope *sc, int64_t before, int64_t deadline, struct err *e)
{
	struct left left;
	unsigned quiet = 0;

	for (;;) {
		if (look_at_jobs(c, sc, before, false, &left, e))
			return NULL;
		quiet = left.jobs ? 0 : quiet + 1;
		if (quiet == 2)
			return json_pack("{s:b}", "done", 1);
		if (now_get().mono >= deadline || atomic_load(&c->ct->stopping))
			break;
		control_wait(c->ct, quiet ? 2 * NSEC_PER_MSEC : POLL);
	}
	if (look_at_jobs(c, sc, before, true, &left, e))
		return NULL;
	err_set(e, ERR_TIMEOUT, "%" PRIu64 " jobs (%" PRIu64 " records) are not loaded yet%s", left.jobs, left.records, left.why);
	return NULL;
}

/* What was accepted and not cut yet is known to the queue alone. */
static int check_table(struct control_call *c, const struct scope *sc, const char *source, struct err *e)
{
	struct snapshot s;
	bool known = false;

	if (!sc->table)
		return 0;
	if (snapshot_take(c->ct, c->db, true, &s, e))
		return -1;
	for (size_t k = 0; k < s.n; k++)
		known |= s.pairs[k].source_id == sc->source_id && strcmp(s.pairs[k].table, sc->table) == 0;
	snapshot_free(&s);
	return known ? 0 : err_set(e, ERR_NOT_FOUND, "source %s has no table \"%s\": nothing was accepted for it yet", source, sc->table);
}

static int scope_of(struct control_call *c, struct scope *sc, struct err *e)
{
	const char *name = param_str(c, "source");
	struct world w;
	const struct source_row *s;
	bool fed = false;
	int rc = -1;

	*sc = (struct scope){.table = param_str(c, "table")};
	if (!name)
		return 0;
	if (world_load(c->db, &w, e))
		return -1;
	s = world_source_named(&w, name, e);
	if (!s)
		goto out;
	sc->source_id = s->id;
	for (size_t k = 0; k < w.n_connections; k++)
		fed |= w.connections[k].source_id == s->id;
	if (!fed && json_object_get(c->params, "wait"))
		err_set(e, ERR_STATE, "source %s is connected to no destination: its records cannot be loaded (stitchctl connect %s DESTINATION)", name, name);
	else
		rc = check_table(c, sc, name, e);
out:
	world_free(&w);
	return rc;
}

/* "30" or "5m" */
static int wait_of(struct control_call *c, int64_t *ns, struct err *e)
{
	const char *text = param_str(c, "wait");
	int64_t seconds = param_int(c, "wait", -1);

	*ns = 0;
	if (seconds < 0 && text && str_to_duration(str_c(text), ns))
		return err_set(e, ERR_INVALID, "--wait takes seconds or a duration such as 5m, not \"%s\"", text);
	if (seconds >= 0)
		*ns = MIN(seconds, 86400) * NSEC_PER_SEC;
	*ns = MIN(*ns, 86400 * NSEC_PER_SEC);
	return 0;
}

struct retry_arg {
	int64_t destination_id;
};

static int run_retry(struct db *db, void *arg, struct err *e)
{
	return db_retry_now(db, ((struct retry_arg *)arg)->destination_id, now_get().real, e);
}

int retry_now(struct control_call *c, int64_t destination_id, struct err *e)
{
	struct retry_arg a = {destination_id};

	if (state_call(c->ct->parts.state, run_retry, &a, e))
		return -1;
	spool_retry(c->ct->parts.spool, destination_id);
	return 0;
}

json_t *method_system_flush(struct control_call *c, struct err *e)
{
	bool wait = json_object_get(c->params, "wait") != NULL;
	struct scope sc;
	struct cutting *k;
	int64_t ns, deadline;
	char object[200];
	int rc;

	if (scope_of(c, &sc, e) || wait_of(c, &ns, e))
		return NULL;
	deadline = now_get().mono + ns;
	snprintf(object, sizeof(object), "%s%s%s", param_str(c, "source") ? param_str(c, "source") : "all", sc.table ? "." : "", sc.table ? sc.table : "");
	if (control_audit(c, object, NULL, e))
		return NULL;
	k = cut_now(c->ct, &sc);
	if (retry_now(c, 0, e)) {
		if (cut_wait(c->ct, k, 0, NULL) < 0)
			err_wrap(e, "flush");
		return NULL;
	}
	rc = cut_wait(c->ct, k, wait ? deadline : 0, wait ? e : NULL);
	if (!wait)
		return json_pack("{s:b}", "done", rc == 0);
	if (rc < 0) {
		err_wrap(e, "flush");
		return NULL;
	}
	if (rc > 0) {
		err_set(e, ERR_TIMEOUT, "not all that was accepted before is in batches yet");
		return NULL;
	}
	spool_wake(c->ct->parts.spool);
	return wait_loaded(c, &sc, now_get().real, deadline, e);
}
