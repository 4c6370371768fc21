/*
 * control_util.c - what methods share: readers of state.db, parameters checked by the usage line of the method table, JSON values, the audit
 * line before an act.
 */
#include "daemon/control/control_priv.h"

#include "log.h"
#include "timefmt.h"
#include "xalloc.h"

#define AUDIT_TEXT_MAX 2000

struct db *control_reader(struct control *ct, struct err *e)
{
	struct db *db = NULL;

	pthread_mutex_lock(&ct->lock);
	if (ct->n_readers)
		db = ct->readers[--ct->n_readers];
	pthread_mutex_unlock(&ct->lock);
	return db ? db : state_reader(ct->parts.state, e);
}

void control_reader_back(struct control *ct, struct db *db)
{
	if (!db)
		return;
	pthread_mutex_lock(&ct->lock);
	if (ct->n_readers < ARRAY_LEN(ct->readers)) {
		ct->readers[ct->n_readers++] = db;
		db = NULL;
	}
	pthread_mutex_unlock(&ct->lock);
	if (db)
		state_reader_close(db);
}

void control_wait(struct control *ct, int64_t ns)
{
	int64_t until = now_get().mono + ns;
	struct timespec ts = {.tv_sec = (time_t)(until / NSEC_PER_SEC), .tv_nsec = (long)(until % NSEC_PER_SEC)};

	pthread_mutex_lock(&ct->lock);
	while (!atomic_load(&ct->stopping) && pthread_cond_timedwait(&ct->stop, &ct->lock, &ts) == 0)
		;
	pthread_mutex_unlock(&ct->lock);
}

/* --- parameters --- */

/* "[--from TIME]" and the like, one word group of a usage line */
struct spec_item {
	struct str name;  /* as written: "SOURCE", "--from" */
	struct str value; /* "TIME"; empty for positionals and flags */
	bool optional, option;
};

static bool spec_next(struct str *rest, struct spec_item *out)
{
	struct str s = str_trim(*rest), group;
	size_t end;

	if (!s.len)
		return false;
	*out = (struct spec_item){.optional = s.ptr[0] == '['};
	if (out->optional) {
		for (end = 0; end < s.len && s.ptr[end] != ']'; end++)
			;
		group = str_mem(s.ptr + 1, end - 1);
		end = MIN(end + 1, s.len);
	} else {
		for (end = 0; end < s.len && s.ptr[end] != ' '; end++)
			;
		/* "--kind KIND": the value belongs to it */
		if (str_starts(s, STR("--")))
			for (end = MIN(end + 1, s.len); end < s.len && s.ptr[end] != ' '; end++)
				;
		group = str_mem(s.ptr, end);
	}
	*rest = str_mem(s.ptr + end, s.len - end);
	out->option = str_starts(group, STR("--"));
	out->name = group;
	for (size_t k = 0; k < group.len; k++)
		if (group.ptr[k] == ' ') {
			out->name = str_mem(group.ptr, k);
			out->value = str_trim(str_mem(group.ptr + k, group.len - k));
			break;
		}
	return true;
}

static void key_of(const struct spec_item *it, char key[64])
{
	size_t skip = it->option ? 2 : 0, n = 0;

	for (size_t k = skip; k < it->name.len && n < 63; k++) {
		char ch = it->name.ptr[k];

		key[n++] = (char)(ch == '-' ? '_' : ch >= 'A' && ch <= 'Z' ? ch - 'A' + 'a' : ch);
	}
	key[n] = '\0';
}

static int check_value(const struct spec_item *it, const char *key, json_t *v, struct err *e)
{
	if (it->option && !it->value.len)
		return json_is_boolean(v) ? 0 : err_set(e, ERR_INVALID, "\"%s\" must be true or false", key);
	if (strcmp(key, "set") == 0) {
		const char *k;
		json_t *x;

		if (!json_is_object(v))
			return err_set(e, ERR_INVALID, "\"set\" must be an object of texts");
		json_object_foreach(v, k, x)
			if (!json_is_string(x))
				return err_set(e, ERR_INVALID, "setting \"%s\" must be text", k);
		return 0;
	}
	if (str_eqc(it->value, "N"))
		return json_is_integer(v) ? 0 : err_set(e, ERR_INVALID, "\"%s\" must be an integer", key);
	if (str_eqc(it->value, "SECONDS") && json_is_integer(v))
		return 0;
	return json_is_string(v) ? 0 : err_set(e, ERR_INVALID, "\"%s\" must be text", key);
}

static bool pages(const struct control_method *m)
{
	struct str name = str_c(m->name);

	return str_ends(name, STR(".list")) || str_eqc(name, "table.show") || str_eqc(name, "batch.cat");
}

static bool known_key(const struct control_method *m, const char *key)
{
	struct str rest = str_c(m->spec);
	struct spec_item it;
	char name[64];

	if (pages(m) && (strcmp(key, "limit") == 0 || strcmp(key, "after") == 0))
		return true;
	if (strcmp(m->name, "system.hello") == 0)
		return true;
	while (spec_next(&rest, &it)) {
		key_of(&it, name);
		if (strcmp(name, key) == 0)
			return true;
	}
	return false;
}

int control_check_params(const struct control_method *m, json_t *params, struct err *e)
{
	struct str rest = str_c(m->spec);
	struct spec_item it;
	const char *key;
	char name[64];
	json_t *v;

	json_object_foreach(params, key, v)
		if (!known_key(m, key))
			return err_set(e, ERR_INVALID, "%s takes no parameter \"%s\"", m->name, key);
	while (spec_next(&rest, &it)) {
		key_of(&it, name);
		v = json_object_get(params, name);
		if (json_is_null(v))
			json_object_del(params, name);
		if (!v || json_is_null(v)) {
			if (!it.optional)
				return err_set(e, ERR_INVALID, "%s needs the parameter \"%s\"", m->name, name);
			continue;
		}
		if (check_value(&it, name, v, e))
			return -1;
	}
	v = json_object_get(params, "limit");
	if (v && pages(m) && (!json_is_integer(v) || json_integer_value(v) < 1))
		return err_set(e, ERR_INVALID, "\"limit\" must be an integer from 1 to 1000");
	v = json_object_get(params, "after");
	if (v && pages(m) && !json_is_string(v) && !json_is_null(v))
		return err_set(e, ERR_INVALID, "\"after\" must be the \"next\" of the page before");
	return 0;
}

const char *param_str(struct control_call *c, const char *key)
{
	return json_string_value(json_object_get(c->params, key));
}

bool param_flag(struct control_call *c, const char *key)
{
	return json_is_true(json_object_get(c->params, key));
}

int64_t param_int(struct control_call *c, const char *key, int64_t def)
{
	json_t *v = json_object_get(c->params, key);
	int64_t n = def;

	if (json_is_integer(v))
		return json_integer_value(v);
	if (json_is_string(v) && str_to_i64(str_c(json_string_value(v)), &n))
		return def;
	return n;
}

unsigned param_limit(struct control_call *c)
{
	int64_t n = param_int(c, "limit", 500);

	return (unsigned)MIN(MAX(n, 1), 1000);
}

/* --- values --- */

json_t *slice_json(struct str s)
{
	json_t *v = json_stringn(s.ptr, s.len);
	struct buf b = BUF_INIT;

	if (v)
		return v;
	/* cut in the middle of a character, or never UTF-8: keep what is ASCII */
	for (size_t k = 0; k < s.len; k++)
		buf_addc(&b, (unsigned char)s.ptr[k] < 0x80 ? s.ptr[k] : '?');
	v = json_stringn(buf_cstr(&b), b.len);
	buf_free(&b);
	return v;
}

json_t *text_json(const char *s)
{
	return s ? slice_json(str_c(s)) : json_null();
}

json_t *time_ns_json(int64_t ns)
{
	return ns ? json_integer(ns) : json_null();
}

json_t *time_iso_json(int64_t ns)
{
	char text[TIMEFMT_MAX];

	if (!ns)
		return json_null();
	timefmt_iso(ns, 0, text);
	return json_string(text);
}

json_t *object_of(const char *json_text)
{
	json_t *v = json_text ? json_loads(json_text, 0, NULL) : NULL;

	if (json_is_object(v))
		return v;
	json_decref(v);
	return json_object();
}

char *compact(const json_t *v)
{
	char *s = json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS);

	return s ? s : xstrdup("null");
}

json_t *page(json_t *items, const char *next)
{
	return json_pack("{s:o, s:o}", "items", items, "next", text_json(next));
}

int control_name_ok(const char *what, const char *name, struct err *e)
{
	size_t n = strlen(name), good = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

	if (n < 1 || n > 63 || good != n || name[0] == '-')
		return err_set(e, ERR_INVALID, "a %s's name is 1 to 63 of A-Z a-z 0-9 _ and -, and begins with no -: \"%s\" is not", what, name);
	return 0;
}

/* --- acts --- */

struct audit_arg {
	struct audit_row row;
	int64_t id;
};

static int audit_begin(struct db *db, void *arg, struct err *e)
{
	struct audit_arg *a = arg;

	return db_audit_begin(db, &a->row, &a->id, e);
}

int control_audit(struct control_call *c, const char *object, const char *before, struct err *e)
{
	struct audit_arg a = {.row = {.at = now_get().real}};

	a.row.who = c->who;
	a.row.action = (char *)(uintptr_t)c->method->name;
	a.row.object = (char *)(uintptr_t)(object ? object : "");
	a.row.before = (char *)(uintptr_t)before;
	if (state_call(c->ct->parts.state, audit_begin, &a, e)) {
		err_wrap(e, "refused, because it cannot be written to the audit log");
		return -1;
	}
	c->audit_id = a.id;
	return 0;
}

struct audit_result {
	int64_t id;
	const char *result;
	char *after;
};

static int audit_end(struct db *db, void *arg, struct err *e)
{
	struct audit_result *a = arg;

	return db_audit_end(db, a->id, a->result, a->after, e);
}

void control_audit_end(struct control_call *c, const json_t *result, const char *error)
{
	struct audit_result a = {.id = c->audit_id, .result = result ? "done" : error};
	json_t *shown;
	struct err e = ERR_INIT;

	if (!c->audit_id)
		return;
	c->audit_id = 0;
	shown = result ? json_copy((json_t *)(uintptr_t)result) : NULL;
	if (shown) {
		json_object_del(shown, "token");
		json_object_del(shown, "tokens");
		json_object_del(shown, "url_path");
	}
	a.after = shown ? compact(shown) : NULL;
	json_decref(shown);
	if (a.after && strlen(a.after) > AUDIT_TEXT_MAX) {
		free(a.after);
		a.after = NULL;
	}
	if (state_call(c->ct->parts.state, audit_end, &a, &e))
		log_err("audit of %s by %s: its result could not be written: %s", c->method->name, c->who, e.text);
	free(a.after);
}

struct do_arg {
	const struct control_act *act;
	char level[8];
};

static int run_act(struct db *db, void *arg, struct err *e)
{
	const struct control_act *a = ((struct do_arg *)arg)->act;
	struct event_row ev = {.at = now_get().real};

	if (a->run(db, a->arg, e))
		return -1;
	if (!a->kind)
		return 0;
	ev.level = ((struct do_arg *)arg)->level;
	ev.kind = (char *)(uintptr_t)a->kind;
	ev.object = (char *)(uintptr_t)(a->object ? a->object : "");
	ev.text = (char *)(uintptr_t)a->text;
	return db_event_add(db, &ev, e);
}

int control_do(struct control_call *c, const struct control_act *a, struct err *e)
{
	struct do_arg d = {.act = a, .level = "info"};

	if (!c->audit_id && control_audit(c, a->object, NULL, e))
		return -1;
	return state_call(c->ct->parts.state, run_act, &d, e);
}
