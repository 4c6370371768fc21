/*
 * s3_list.c - the objects under a prefix, page after page (ListObjectsV2).
 *
 * Keys are asked for percent-encoded, because XML cannot hold every character of a key; a server that does not know that says so by leaving EncodingType out. What can go
 * wrong: an answer that is no such list (ERR_TRANSIENT: a proxy spoke), and a server that says "more" and names no page (the same, or it would go on for ever).
 */
#include "s3_priv.h"
#include "timefmt.h"
#include "xalloc.h"
#include "xml.h"

struct page {
	struct s3 *s;
	struct buf token, key, etag;
	uint64_t size;
	int64_t modified;
	bool truncated, encoded;
	s3_list_fn *fn;
	void *arg;
};

static void decode(struct buf *b)
{
	size_t n = 0;

	for (size_t k = 0; k < b->len; k++) {
		unsigned char c = (unsigned char)b->data[k];

		if (c == '%' && k + 2 < b->len && !str_from_hex(str_mem(b->data + k + 1, 2), &c, 1))
			k += 2;
		else if (c == '+')
			c = ' ';
		b->data[n++] = (char)c;
	}
	buf_truncate(b, n);
}

static int one_object(struct page *p)
{
	struct s3_object o = {.size = p->size, .modified = p->modified};
	struct str tag = buf_str(&p->etag);

	if (p->encoded)
		decode(&p->key);
	o.key = buf_cstr(&p->key);
	if (tag.len >= 2 && tag.ptr[0] == '"')
		tag = str_mem(tag.ptr + 1, tag.len - 2);
	str_copy(o.etag, sizeof(o.etag), tag);
	return strlen(o.key) == p->key.len ? p->fn(&o, p->arg) : 0;
}

static void take_field(struct page *p, struct str name, struct str text)
{
	int64_t us;

	if (str_eqc(name, "Key"))
		buf_addstr(&p->key, text);
	else if (str_eqc(name, "ETag"))
		buf_addstr(&p->etag, text);
	else if (str_eqc(name, "Size") && str_to_u64(str_trim(text), &p->size))
		p->size = 0;
	else if (str_eqc(name, "LastModified"))
		p->modified = timefmt_parse(str_trim(text), &us) ? 0 : us * 1000;
}

static void take_head(struct page *p, struct str name, struct str text)
{
	if (str_eqc(name, "IsTruncated"))
		p->truncated = str_eqc(str_trim(text), "true");
	else if (str_eqc(name, "NextContinuationToken"))
		buf_addstr(&p->token, text);
	else if (str_eqc(name, "EncodingType"))
		p->encoded = str_eqc(str_trim(text), "url");
}

/* Objects are given out when the page was read: EncodingType may stand behind them. */
static int read_page(struct page *p, bool give, int *told, struct err *e)
{
	struct xml x;
	struct str names[3] = {{NULL, 0}};
	enum xml_kind k;
	bool list = false;

	xml_init(&x, buf_str(&p->s->answer.body));
	*told = 0;
	while (!*told && (k = xml_next(&x)) < XML_END) {
		if (k == XML_OPEN && x.depth <= 3)
			names[x.depth - 1] = x.name;
		if (k == XML_OPEN && x.depth == 1)
			list = str_eqc(x.name, "ListBucketResult");
		if (k == XML_OPEN && x.depth == 2 && str_eqc(x.name, "Contents")) {
			buf_truncate(&p->key, 0);
			buf_truncate(&p->etag, 0);
			p->size = 0;
			p->modified = 0;
		}
		if (k == XML_TEXT && x.depth == 2 && !give)
			take_head(p, names[1], buf_str(&x.text));
		if (k == XML_TEXT && x.depth == 3 && give && str_eqc(names[1], "Contents"))
			take_field(p, names[2], buf_str(&x.text));
		if (k == XML_CLOSE && x.depth == 1 && give && str_eqc(x.name, "Contents"))
			*told = one_object(p);
	}
	xml_free(&x);
	if (!*told && (k == XML_BAD || !list))
		return err_set(e, ERR_TRANSIENT, "the answer of %s is no list of a bucket", p->s->host);
	return 0;
}

static void page_query(const struct page *p, const char *prefix, const char *after, struct buf *q)
{
	if (p->token.len) {
		buf_adds(q, "continuation-token=");
		http_encode(q, buf_str(&p->token), false);
		buf_addc(q, '&');
	}
	buf_adds(q, "encoding-type=url&list-type=2&prefix=");
	http_encode(q, str_c(prefix), false);
	if (after && !p->token.len) {
		buf_adds(q, "&start-after=");
		http_encode(q, str_c(after), false);
	}
}

int s3_list(struct s3 *s, const char *prefix, const char *after, s3_list_fn *fn, void *arg, struct err *e)
{
	struct page p = {.s = s, .fn = fn, .arg = arg};
	struct buf q = BUF_INIT;
	int rc, told = 0;

	do {
		struct s3_call c = {.method = "GET", .what = "list", .answer_max = XML_MAX};

		buf_truncate(&q, 0);
		page_query(&p, prefix, after, &q);
		c.query = buf_cstr(&q);
		buf_truncate(&p.token, 0);
		p.truncated = p.encoded = false;
		rc = s3_call(s, &c, e);
		if (!rc)
			rc = read_page(&p, false, &told, e);
		if (!rc)
			rc = read_page(&p, true, &told, e);
		if (!rc && !told && p.truncated && !p.token.len)
			rc = err_set(e, ERR_TRANSIENT, "the list of %s breaks off", s->host);
	} while (!rc && !told && p.truncated);
	buf_free(&q);
	buf_free(&p.token);
	buf_free(&p.key);
	buf_free(&p.etag);
	return rc ? rc : told;
}
