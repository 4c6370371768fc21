/*
 * refusal.c - the bodies of refusals. Texts that hold a sender's names go through jwrite, so that a strange name cannot make a body that
 * is no JSON; they are cut at a length that no honest error reaches.
 */
#include "daemon/import/refusal.h"

#include "jwrite.h"

#define TEXT_MAX 8000

static int text_body(struct refusal *r, unsigned status, bool error, const char *fmt, va_list ap)
{
	char text[TEXT_MAX];
	struct jwrite w;

	if (r->status)
		return -1;
	r->status = status;
	vsnprintf(text, sizeof(text), fmt, ap);
	jwrite_init(&w, &r->body);
	jwrite_object(&w);
	if (error) {
		jwrite_kv_string(&w, "error", text);
	} else {
		jwrite_kv_string(&w, "status", "ERROR");
		jwrite_kv_string(&w, "message", text);
	}
	jwrite_object_end(&w);
	return -1;
}

int refuse_error(struct refusal *r, unsigned status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	text_body(r, status, true, fmt, ap);
	va_end(ap);
	return -1;
}

int refuse_status(struct refusal *r, unsigned status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	text_body(r, status, false, fmt, ap);
	va_end(ap);
	return -1;
}

int refuse_json(struct refusal *r, unsigned status, const char *json)
{
	if (r->status)
		return -1;
	r->status = status;
	buf_adds(&r->body, json);
	return -1;
}

int refuse_malformed(struct refusal *r, const char *why, size_t at)
{
	char text[200];
	struct jwrite w;

	refusal_reset(r);
	r->status = 400;
	snprintf(text, sizeof(text), "%s at byte %zu", why ? why : "not JSON", at);
	jwrite_init(&w, &r->body);
	jwrite_object(&w);
	jwrite_kv_string(&w, "status", "ERROR");
	jwrite_kv_string(&w, "message", "Malformed json in the body!");
	jwrite_kv_string(&w, "error", text);
	jwrite_key(&w, "input");
	jwrite_null(&w);
	jwrite_object_end(&w);
	return -1;
}

void refusal_reset(struct refusal *r)
{
	r->status = 0;
	buf_truncate(&r->body, 0);
}
