/*
 * s3_check.c - what a person asks of a bucket: does it work (a probe object is put, read, listed and deleted), what to allow if not, and what is in the newest file of a table.
 *
 * What can go wrong in a check: a right is missing that another answer hides (without the right to list, Amazon says "forbidden" of an object that is not there), so each is tried by
 * itself. The newest file may be large, or changed by hand: only its first SAMPLE_BYTES are read, and lines that do not fit are left out.
 */
#include <unistd.h>

#include "loaders/s3/s3_dest.h"

#include "jwrite.h"
#include "timefmt.h"
#include "xalloc.h"

#define SAMPLE_BYTES (256u << 10)
#define SAMPLE_KEYS 200000 /* looked at */

static void policy_statement(struct jwrite *w, const char *const *actions, size_t n, const char *arn, struct str in)
{
	char *resource = xasprintf("%s%s" STR_FMT, arn, in.len ? "/" : "", STR_ARG(in));

	jwrite_object(w);
	jwrite_kv_string(w, "Effect", "Allow");
	jwrite_key(w, "Action");
	jwrite_array(w);
	for (size_t k = 0; k < n; k++)
		jwrite_string(w, actions[k]);
	jwrite_array_end(w);
	jwrite_kv_string(w, "Resource", resource);
	jwrite_object_end(w);
	free(resource);
}

void sd_policy(const struct s3_dest *s, struct buf *out)
{
	static const char *const objects[] = {"s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:AbortMultipartUpload"};
	static const char *const whole[] = {"s3:ListBucket", "s3:ListBucketMultipartUploads"};
	char *arn = xasprintf("arn:aws:s3:::%s", s->bucket);
	struct buf in = BUF_INIT;
	struct jwrite w;

	key_beginning(&s->key, &in);
	buf_addc(&in, '*');
	jwrite_init(&w, out);
	jwrite_object(&w);
	jwrite_kv_string(&w, "Version", "2012-10-17");
	jwrite_key(&w, "Statement");
	jwrite_array(&w);
	policy_statement(&w, objects, ARRAY_LEN(objects), arn, buf_str(&in));
	policy_statement(&w, whole, ARRAY_LEN(whole), arn, STR_NULL);
	jwrite_array_end(&w);
	jwrite_object_end(&w);
	free(arn);
	buf_free(&in);
}

static int is_probe(const struct s3_object *o, void *arg)
{
	return strcmp(o->key, arg) == 0;
}

enum probe { PROBE_PUT, PROBE_GET, PROBE_LIST, PROBE_DELETE, PROBES };

static int try_probe(struct s3_dest *s, enum probe what, const char *key, struct err *e)
{
	struct str text = STR("stitch looks whether it can work here; this may be deleted\n");
	struct buf got = BUF_INIT;
	int rc = -1;

	switch (what) {
	case PROBE_PUT:
		return s3_put(s->probe, key, text, NULL, e);
	case PROBE_GET:
		rc = s3_get(s->probe, key, 0, 0, 1000, &got, e);
		if (!rc && !str_eq(buf_str(&got), text))
			rc = err_set(e, ERR_CONFIG, "%s gives other bytes back than were stored", s3_server(s->probe));
		buf_free(&got);
		return rc;
	case PROBE_LIST:
		rc = s3_list(s->probe, key, NULL, is_probe, (void *)(uintptr_t)key, e);
		return rc == 1 ? 0 : rc < 0 ? -1 : err_set(e, ERR_CONFIG, "%s does not list an object that was just stored", s3_server(s->probe));
	case PROBE_DELETE:
		return s3_delete(s->probe, key, e);
	case PROBES:
		break;
	}
	return rc;
}

static void failed(struct s3_dest *s, struct loader_check *c, const struct err *e)
{
	struct buf fix = BUF_INIT;

	buf_adds(&fix, s3_fix(s->probe));
	if (s3_status(s->probe) == 403 && strcmp(s3_code(s->probe), "SignatureDoesNotMatch") != 0 && strcmp(s3_code(s->probe), "InvalidAccessKeyId") != 0) {
		buf_adds(&fix, fix.len ? "; this policy allows all that is needed: " : "give the owner of the access key this policy: ");
		sd_policy(s, &fix);
	}
	check_failed(c, e->text, buf_cstr(&fix));
	buf_free(&fix);
}

void sd_check(void *self, struct loader_check *c)
{
	static const char *const names[PROBES] = {"put objects", "read objects", "list objects", "delete objects"};
	struct s3_dest *s = self;
	struct buf name = BUF_INIT;
	const char *key;
	bool put = false;

	key_beginning(&s->key, &name);
	buf_addf(&name, "_stitch_check_%d", (int)getpid());
	key = buf_cstr(&name);
	s->phase = "checking";
	for (unsigned k = 0; k < PROBES; k++) {
		struct err e = ERR_INIT;
		int rc;

		if (k != PROBE_PUT && !put)
			break; /* nothing to read or to delete */
		rc = try_probe(s, (enum probe)k, key, &e);
		check_right(c, names[k], rc == 0, rc ? e.text : NULL);
		if (rc)
			failed(s, c, &e);
		else if (k == PROBE_PUT)
			put = true;
	}
	buf_free(&name);
}

/* --- the first rows of the newest file --- */

struct newest { const struct s3_dest *s; const char *schema, *table; char *key; int64_t loaded; uint64_t size; unsigned seen; };

static int look(const struct s3_object *o, void *arg)
{
	struct newest *n = arg;
	int64_t loaded = 0;

	if (key_is_of(&n->s->key, n->schema, n->table, o->key, &loaded) && loaded >= n->loaded) {
		free(n->key);
		n->key = xstrdup(o->key);
		n->loaded = loaded;
		n->size = o->size;
	}
	return ++n->seen >= SAMPLE_KEYS;
}

int sd_sample(void *self, const char *schema, const char *table, unsigned max, json_t *columns, json_t *rows, struct err *e)
{
	struct s3_dest *s = self;
	struct buf path = BUF_INIT, prefix = BUF_INIT, text = BUF_INIT;
	struct newest n = {.s = s, .schema = schema};
	int rc = -1;

	s->phase = "looking for the newest file";
	key_table_name(&path, str_c(table));
	n.table = buf_cstr(&path);
	key_prefix(&s->key, schema, n.table, &prefix);
	if (s3_list(s->probe, buf_cstr(&prefix), NULL, look, &n, e) < 0)
		goto out;
	if (!n.key) {
		err_set(e, ERR_NOT_FOUND, "there is no file of table %s in the bucket", table);
		goto out;
	}
	if (n.size && s3_get(s->probe, n.key, 0, n.size > SAMPLE_BYTES ? SAMPLE_BYTES : 0, SAMPLE_BYTES, &text, e))
		goto out;
	if (s->jsonl)
		jsonl_sample(buf_str(&text), n.size <= SAMPLE_BYTES, max, columns, rows);
	else
		csv_sample(&s->csv, buf_str(&text), n.size <= SAMPLE_BYTES, max, columns, rows);
	rc = 0;
out:
	free(n.key);
	buf_free(&path);
	buf_free(&prefix);
	buf_free(&text);
	return rc;
}
