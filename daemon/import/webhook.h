/*
 * webhook.h - bodies of incoming webhooks: form-encoded ones as JSON, and their records as lines. Pure; one thread.
 */
#ifndef STITCH_IMPORT_WEBHOOK_H
#define STITCH_IMPORT_WEBHOOK_H

#include "daemon/import/intake.h"
#include "daemon/import/rules.h"

#define WEBHOOK_KEY_CHARS_MAX 50u

/* A form-encoded body as JSON, appended: "fields": an object of texts; "json:NAME": what the field NAME holds. -1: refused. */
int webhook_form(struct str body, const char *form, struct buf *out, struct refusal *r) MUST_CHECK;
/* How many records: an object is one, an array of objects so many. -1: refused. */
int webhook_count(struct str body, uint64_t *n, struct refusal *r) MUST_CHECK;
/* After webhook_count: groups of lines, with the sequences first, first + 1, ... -1: refused. */
int webhook_decode(struct intake *b, struct str body, const struct source_rules *rules, int64_t first, struct refusal *r) MUST_CHECK;

#endif
