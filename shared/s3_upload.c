/*
 * s3_upload.c - objects of any length: kept in memory up to a part, then a multipart upload, which shows nothing before its end.
 *
 * The upload carries a random mark in its metadata. When the answer to the end is lost and the second try hears that there is no such upload, the object is looked at: with
 * our mark it is ours. Parts of an upload whose process was killed stay in the bucket, unseen and paid for: who writes an object by its fixed key again takes
 * the older uploads of that key away first (best effort: it needs a right of its own), and a rule of the bucket should end what is older than some days.
 */
#include <errno.h>
#include <sys/random.h>
#include <unistd.h>

#include "file.h"
#include "s3_priv.h"
#include "xalloc.h"
#include "xml.h"

#define PARTS_MAX 10000
#define GROW_FROM 4000 /* parts of S3_PART; the ones after are four times as large (32 GB, and 190 more) */
#define META "x-amz-meta-stitch-upload"

struct s3_upload {
	struct s3 *s;
	char *key, *id; /* id NULL: nothing is sent yet */
	struct s3_put o;
	struct buf buf;
	int fd; /* spilled bytes, which come before those in buf; -1: none */
	uint64_t spilled;
	char **etags;
	size_t n, cap;
	char mark[33], *type, *note;
};

static void upload_free(struct s3_upload *u)
{
	for (size_t k = 0; k < u->n; k++)
		free(u->etags[k]);
	free(u->etags);
	free(u->key);
	free(u->id);
	free(u->type);
	free(u->note);
	buf_free(&u->buf);
	if (u->fd >= 0)
		close(u->fd);
	free(u);
}

struct s3_upload *s3_upload_new(struct s3 *s, const char *key, const struct s3_put *o, struct err *e)
{
	struct s3_upload *u;
	unsigned char random[16];
	struct buf hex = BUF_INIT;

	if (s3_key_check(key, e))
		return NULL;
	if (getrandom(random, sizeof(random), 0) != sizeof(random)) {
		err_errno(e, errno, "getrandom");
		return NULL;
	}
	u = xcalloc(1, sizeof(*u));
	u->s = s;
	u->key = xstrdup(key);
	u->fd = -1;
	if (o) {
		u->o = *o;
		u->o.content_type = u->type = o->content_type ? xstrdup(o->content_type) : NULL;
		u->o.note = u->note = o->note ? xstrdup(o->note) : NULL;
	}
	buf_add_hex(&hex, random, sizeof(random));
	str_copy(u->mark, sizeof(u->mark), buf_str(&hex));
	buf_free(&hex);
	return u;
}

size_t s3_upload_held(const struct s3_upload *u)
{
	return u->buf.len;
}

/* --- older uploads of the key --- */

struct older { char **ids; size_t n, cap; };

static void find_older(struct s3_upload *u, struct older *old)
{
	struct buf q = BUF_INIT, key = BUF_INIT, id = BUF_INIT;
	struct s3_call c = {.method = "GET", .what = "list the uploads of", .answer_max = XML_MAX, .tries = 1};
	struct xml x;
	enum xml_kind k;
	struct str name = STR_NULL;

	buf_adds(&q, "prefix=");
	http_encode(&q, str_c(u->key), false);
	buf_adds(&q, "&uploads=");
	c.query = buf_cstr(&q);
	if (s3_call(u->s, &c, NULL) == 0) {
		xml_init(&x, buf_str(&u->s->answer.body));
		while ((k = xml_next(&x)) < XML_END) {
			if (k == XML_OPEN)
				name = x.name;
			if (k == XML_TEXT && x.depth == 3 && str_eqc(name, "Key"))
				buf_addstr(&key, buf_str(&x.text));
			if (k == XML_TEXT && x.depth == 3 && str_eqc(name, "UploadId"))
				buf_addstr(&id, buf_str(&x.text));
			if (k != XML_CLOSE || x.depth != 1)
				continue;
			if (str_eqc(buf_str(&key), u->key) && id.len) {
				if (old->n == old->cap)
					old->ids = xreallocarray(old->ids, old->cap = old->cap ? 2 * old->cap : 8, sizeof(*old->ids));
				old->ids[old->n++] = str_dup(buf_str(&id));
			}
			buf_truncate(&key, 0);
			buf_truncate(&id, 0);
		}
		xml_free(&x);
	}
	buf_free(&q);
	buf_free(&key);
	buf_free(&id);
}

static void abort_upload(struct s3_upload *u, const char *id)
{
	struct buf q = BUF_INIT;
	struct s3_call c = {.method = "DELETE", .what = "end the upload of", .key = u->key, .tries = 2};

	buf_adds(&q, "uploadId=");
	http_encode(&q, str_c(id), false);
	c.query = buf_cstr(&q);
	if (s3_call(u->s, &c, NULL))
		u->s->fix[0] = '\0'; /* what failed before is what counts */
	buf_free(&q);
}

static void abort_older(struct s3_upload *u)
{
	struct older old = {NULL, 0, 0};

	find_older(u, &old);
	for (size_t k = 0; k < old.n; k++) {
		abort_upload(u, old.ids[k]);
		free(old.ids[k]);
	}
	free(old.ids);
}

/* --- parts --- */

static int begin(struct s3_upload *u, struct err *e)
{
	struct s3_call c = {.method = "POST", .what = "begin an upload of", .key = u->key, .query = "uploads=", .late = true};
	struct s3_lines room;
	char mark[64];
	struct buf id = BUF_INIT;

	abort_older(u);
	snprintf(mark, sizeof(mark), META ": %s", u->mark);
	s3_header_object(u->s, &c, &u->o, &room);
	s3_header_add(&c, mark);
	if (s3_call(u->s, &c, e))
		return -1;
	if (!xml_find(buf_str(&u->s->answer.body), "InitiateMultipartUploadResult/UploadId", &id) || !id.len) {
		buf_free(&id);
		return err_set(e, ERR_TRANSIENT, "%s began an upload and does not tell its id", u->s->host);
	}
	u->id = buf_detach(&id, NULL);
	return 0;
}

static int send_part(struct s3_upload *u, struct s3_call *c, struct err *e)
{
	struct buf q = BUF_INIT;
	struct str tag;
	int rc = -1;

	if (u->n == PARTS_MAX)
		return err_set(e, ERR_INVALID, "\"%s\" is larger than an upload of %d parts may be", u->key, PARTS_MAX);
	if (!u->id && begin(u, e))
		return -1;
	buf_addf(&q, "partNumber=%zu&uploadId=", u->n + 1);
	http_encode(&q, str_c(u->id), false);
	c->method = "PUT";
	c->what = "put a part of";
	c->key = u->key;
	c->query = buf_cstr(&q);
	if (s3_call(u->s, c, e))
		goto out;
	tag = http_header(&u->s->answer, "ETag");
	if (!tag.len) {
		err_set(e, ERR_TRANSIENT, "%s took a part of \"%s\" and does not tell its ETag", u->s->host, u->key);
		goto out;
	}
	if (u->n == u->cap)
		u->etags = xreallocarray(u->etags, u->cap = u->cap ? 2 * u->cap : 16, sizeof(*u->etags));
	u->etags[u->n++] = str_dup(tag);
	rc = 0;
out:
	buf_free(&q);
	return rc;
}

static size_t part_size(const struct s3_upload *u)
{
	return u->n < GROW_FROM ? S3_PART : 4 * S3_PART;
}

static int append_spilled(struct s3_upload *u, struct err *e)
{
	if (file_write_all(u->fd, u->buf.data, u->buf.len, (int64_t)u->spilled, e))
		return err_wrap(e, "putting what is to be stored aside");
	u->spilled += u->buf.len;
	buf_free(&u->buf);
	return 0;
}

int s3_upload_spill(struct s3_upload *u, struct err *e)
{
	if (u->fd < 0) {
		u->fd = file_temp_any(e);
		if (u->fd < 0)
			return -1;
	}
	return append_spilled(u, e);
}

static void body_of(struct s3_upload *u, struct s3_call *c)
{
	if (u->spilled) {
		c->from_fd = true;
		c->fd = u->fd;
		c->len = u->spilled;
	} else {
		c->body = buf_str(&u->buf);
	}
}

/* All that is held becomes a part. */
static int flush_part(struct s3_upload *u, struct err *e)
{
	struct s3_call c = {NULL};

	if (u->spilled && append_spilled(u, e))
		return -1;
	body_of(u, &c);
	if (send_part(u, &c, e))
		return -1;
	buf_truncate(&u->buf, 0);
	if (u->spilled && ftruncate(u->fd, 0))
		return err_errno(e, errno, "emptying a temporary file");
	u->spilled = 0;
	return 0;
}

int s3_upload_write(struct s3_upload *u, const void *p, size_t n, struct err *e)
{
	const char *from = p;

	while (n) {
		uint64_t held = u->spilled + u->buf.len;
		size_t take = (size_t)MIN((uint64_t)n, part_size(u) > held ? part_size(u) - held : 0);

		buf_add(&u->buf, from, take);
		from += take;
		n -= take;
		if (held + take >= part_size(u) && flush_part(u, e))
			return -1;
	}
	return 0;
}

/* --- the end --- */

/* The end was sent and its answer lost; now there is no such upload. Is the object that is there ours? */
static bool is_ours(struct s3_upload *u)
{
	struct s3_object o;

	return s3_head(u->s, u->key, &o, NULL) == 0 && str_eqc(http_header(&u->s->answer, META), u->mark);
}

static int complete(struct s3_upload *u, struct err *e)
{
	struct buf q = BUF_INIT, body = BUF_INIT;
	struct s3_call c = {.method = "POST", .what = "end the upload of", .key = u->key, .late = true, .headers = {"Content-Type: application/xml"}};
	struct err why = ERR_INIT;
	int rc;

	buf_adds(&q, "uploadId=");
	http_encode(&q, str_c(u->id), false);
	buf_adds(&body, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
	for (size_t k = 0; k < u->n; k++) {
		buf_addf(&body, "<Part><PartNumber>%zu</PartNumber><ETag>", k + 1);
		xml_escape(&body, str_c(u->etags[k]));
		buf_adds(&body, "</ETag></Part>");
	}
	buf_adds(&body, "</CompleteMultipartUpload>");
	c.query = buf_cstr(&q);
	c.body = buf_str(&body);
	if (u->o.if_absent)
		s3_header_add(&c, "If-None-Match: *");
	rc = s3_call(u->s, &c, &why);
	if (rc && u->s->unknown && (why.code == ERR_EXISTS || u->s->status == 404) && is_ours(u))
		rc = 0;
	if (rc)
		*e = why;
	buf_free(&q);
	buf_free(&body);
	return rc;
}

int s3_upload_end(struct s3_upload *u, struct err *e)
{
	struct err own = ERR_INIT;
	struct s3_call c = {NULL};
	int rc;

	if (!e)
		e = &own;
	if (u->id) {
		rc = u->spilled + u->buf.len ? flush_part(u, e) : 0;
		if (!rc)
			rc = complete(u, e);
	} else if (u->spilled) {
		rc = append_spilled(u, e);
		if (!rc)
			rc = s3_put_fd(u->s, u->key, u->fd, 0, u->spilled, &u->o, e);
	} else {
		body_of(u, &c);
		rc = s3_put(u->s, u->key, c.body, &u->o, e);
	}
	if (!rc)
		upload_free(u);
	return rc;
}

void s3_upload_abort(struct s3_upload *u)
{
	if (!u)
		return;
	if (u->id)
		abort_upload(u, u->id);
	upload_free(u);
}

int s3_put_parts(struct s3 *s, const char *key, int fd, uint64_t off, uint64_t len, const struct s3_put *o, struct err *e)
{
	struct s3_upload *u = s3_upload_new(s, key, o, e);
	uint64_t part = MAX((uint64_t)S3_PART, len / (PARTS_MAX - 1) + 1);

	if (!u)
		return -1;
	while (len) {
		struct s3_call c = {.from_fd = true, .fd = fd, .off = off, .len = MIN(len, part)};

		if (send_part(u, &c, e))
			goto fail;
		off += c.len;
		len -= c.len;
	}
	if (s3_upload_end(u, e) == 0)
		return 0;
fail:
	s3_upload_abort(u);
	return -1;
}
