/*
 * rules.c - a source's settings (a JSON object of texts, checked by control/kinds.c when they were set) as the door needs them. What can go wrong: a secret
 * that was sealed with another key; then nothing of that source can be checked, and its requests are answered 503 instead of being taken unchecked.
 */
#include "daemon/import/rules.h"

#include <jansson.h>

#include "xalloc.h"

static char *text(const json_t *o, const char *name)
{
	const char *v = json_string_value(json_object_get(o, name));

	return v && *v ? xstrdup(v) : NULL;
}

static int secret(const json_t *o, const char *name, const struct seal *seal, struct buf *out, struct err *e)
{
	const json_t *v = json_object_get(o, name);
	struct str sealed = str_mem(json_string_value(v), json_string_length(v));

	if (!v || !sealed.len)
		return 0;
	return seal_get(seal, sealed, out, e);
}

int rules_new(const struct source_row *s, const struct seal *seal, struct source_rules **out, struct err *e)
{
	struct source_rules *r = xcalloc(1, sizeof(*r));
	json_t *o = json_loads(s->settings ? s->settings : "{}", 0, NULL);
	char *v;
	int rc;

	r->users = 1;
	r->source_id = s->id;
	r->client_id = s->client_id;
	r->webhook = s->kind && strcmp(s->kind, "webhook") == 0;
	v = text(o, "when_paused");
	r->hold = v && strcmp(v, "hold") == 0;
	free(v);
	v = text(o, "rate_limit");
	if (v && str_to_u64(str_c(v), &r->rate_limit))
		r->rate_limit = 0;
	free(v);
	r->key = text(o, "key");
	r->table_field = text(o, "table_field");
	r->signature_header = text(o, "signature_header");
	r->form = text(o, "form");
	v = text(o, "signature_algorithm");
	r->sha1 = v && strcmp(v, "sha1") == 0;
	free(v);
	rc = secret(o, "secret", seal, &r->secrets[0], e) || secret(o, "secret_old", seal, &r->secrets[1], e) ? -1 : 0;
	json_decref(o);
	if (rc) {
		rules_free(r);
		return err_wrap(e, "source %s", s->name ? s->name : "?");
	}
	*out = r;
	return 0;
}

struct source_rules *rules_use(struct source_rules *r)
{
	r->users++;
	return r;
}

void rules_free(struct source_rules *r)
{
	if (!r || --r->users)
		return;
	for (size_t i = 0; i < ARRAY_LEN(r->secrets); i++) {
		if (r->secrets[i].data)
			explicit_bzero(r->secrets[i].data, r->secrets[i].cap);
		buf_free(&r->secrets[i]);
	}
	free(r->key);
	free(r->table_field);
	free(r->signature_header);
	free(r->form);
	free(r);
}
