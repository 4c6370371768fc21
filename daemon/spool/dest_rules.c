/*
 * dest_rules.c - see dest_rules.h. Values are text, as all settings are; they are checked when they are set, and read leniently afterwards: a state.db
 * that another version wrote must not stop a destination.
 */
#include "daemon/spool/dest_rules.h"

#include "str.h"
#include "xalloc.h"

const char *const dest_rule_names[] = {"concurrency", NULL};

bool dest_rule_is(const char *name)
{
	for (size_t k = 0; dest_rule_names[k]; k++)
		if (strcmp(dest_rule_names[k], name) == 0)
			return true;
	return false;
}

static int read_concurrency(json_t *settings, struct dest_rules *out, struct err *e)
{
	const char *text = json_string_value(json_object_get(settings, "concurrency"));
	uint64_t n;

	if (!text || !*text)
		return 0;
	if (str_to_u64(str_c(text), &n) || n < 1 || n > DEST_CONCURRENCY_MAX)
		return err_set(e, ERR_INVALID, "concurrency is a number of loads at once, from 1 to %d, not \"%s\"", DEST_CONCURRENCY_MAX, text);
	out->concurrency = (unsigned)n;
	return 0;
}

static int read_all(json_t *settings, struct dest_rules *out, struct err *e)
{
	*out = (struct dest_rules){.concurrency = 0};
	return read_concurrency(settings, out, e);
}

int dest_rules_check(json_t *settings, struct err *e)
{
	struct dest_rules rules;

	return read_all(settings, &rules, e);
}

int dest_rules_read(const char *settings, struct dest_rules *out, char **left, struct err *e)
{
	json_t *o = settings ? json_loads(settings, 0, NULL) : NULL;
	int rc;

	if (!json_is_object(o)) {
		json_decref(o);
		o = json_object();
	}
	rc = read_all(o, out, e);
	for (size_t k = 0; dest_rule_names[k]; k++)
		json_object_del(o, dest_rule_names[k]);
	*left = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
	if (!*left)
		*left = xstrdup("{}");
	json_decref(o);
	return rc;
}
