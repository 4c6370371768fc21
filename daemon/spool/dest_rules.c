/*
 * dest_rules.c - see dest_rules.h. Values are text, as all settings are; they are checked when they are set, and read leniently afterwards: a state.db
 * that another version wrote must not stop a destination.
 */
#include "daemon/spool/dest_rules.h"

#include "str.h"
#include "xalloc.h"

const char *const dest_rule_names[] = {"concurrency", "maintenance", "time_zone", "hook_url", "hook_secret", "hook_ca_file", NULL};

bool dest_rule_is(const char *name)
{
	for (size_t k = 0; dest_rule_names[k]; k++)
		if (strcmp(dest_rule_names[k], name) == 0)
			return true;
	return false;
}

bool dest_rule_is_secret(const char *name)
{
	return strcmp(name, "hook_secret") == 0;
}

static char *text_of(json_t *settings, const char *name)
{
	const char *text = json_string_value(json_object_get(settings, name));

	return text && *text ? xstrdup(text) : NULL;
}

static int read_hook(json_t *settings, struct dest_rules *out, struct err *e)
{
	out->hook_url = text_of(settings, "hook_url");
	out->hook_secret = text_of(settings, "hook_secret");
	out->hook_ca_file = text_of(settings, "hook_ca_file");
	/* what it says of the data must not be read on the way */
	if (out->hook_url && strncmp(out->hook_url, "https://", 8) != 0) {
		free(out->hook_url);
		out->hook_url = NULL;
		return err_set(e, ERR_INVALID, "hook_url must begin with https://");
	}
	if (out->hook_ca_file && out->hook_ca_file[0] != '/')
		return err_set(e, ERR_INVALID, "hook_ca_file must be absolute: it would depend on the daemon's working folder");
	return 0;
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

/* "0 2 * * 6 4h; 0 22 * * 1-5 30m" */
static int read_windows(json_t *settings, struct dest_rules *out, struct err *e)
{
	struct str rest = str_c(json_string_value(json_object_get(settings, "maintenance")));

	while (str_trim(rest).len) {
		const char *semicolon = memchr(rest.ptr, ';', rest.len);
		struct str one = str_mem(rest.ptr, semicolon ? (size_t)(semicolon - rest.ptr) : rest.len);

		rest = str_mem(rest.ptr + one.len + (semicolon != NULL), rest.len - one.len - (semicolon != NULL));
		if (out->n_windows == DEST_WINDOWS_MAX)
			return err_set(e, ERR_INVALID, "maintenance has at most %d windows", DEST_WINDOWS_MAX);
		if (cron_window_parse(str_trim(one), &out->windows[out->n_windows], e))
			return err_wrap(e, "maintenance");
		out->n_windows++;
	}
	return 0;
}

static int read_zone(json_t *settings, struct dest_rules *out, struct err *e)
{
	out->zone = zone_open(json_string_value(json_object_get(settings, "time_zone")), e);
	if (out->zone)
		return 0;
	out->zone = zone_open(NULL, NULL);
	return err_wrap(e, "time_zone");
}

static int read_all(json_t *settings, struct dest_rules *out, struct err *e)
{
	*out = (struct dest_rules){.concurrency = 0};
	return read_zone(settings, out, e) || read_hook(settings, out, e) || read_concurrency(settings, out, e) || read_windows(settings, out, e) ? -1 : 0;
}

void dest_rules_free(struct dest_rules *r)
{
	zone_free(r->zone);
	free(r->hook_url);
	free(r->hook_secret);
	free(r->hook_ca_file);
	*r = (struct dest_rules){.zone = NULL};
}

static int64_t ns_of(int64_t seconds)
{
	return seconds >= INT64_MAX / NSEC_PER_SEC ? NEVER : seconds * NSEC_PER_SEC;
}

bool dest_rules_maintenance(const struct dest_rules *r, int64_t now, int64_t *since, int64_t *until)
{
	int64_t begins, ends, next = NEVER;
	bool in = false;

	*since = 0;
	*until = NEVER;
	for (unsigned k = 0; k < r->n_windows; k++) {
		if (!cron_window_at(&r->windows[k], r->zone, now / NSEC_PER_SEC, &begins, &ends)) {
			next = MIN(next, ns_of(ends));
			continue;
		}
		/* of several the one that lasts longest */
		if (!in || ns_of(ends) > *until) {
			*since = ns_of(begins);
			*until = ns_of(ends);
		}
		in = true;
	}
	if (!in)
		*until = next;
	return in;
}

int dest_rules_check(json_t *settings, struct err *e)
{
	struct dest_rules rules;
	int rc;

	rc = read_all(settings, &rules, e);
	dest_rules_free(&rules);
	return rc;
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
	for (size_t k = 0; left && dest_rule_names[k]; k++)
		json_object_del(o, dest_rule_names[k]);
	if (left)
		*left = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
	if (left && !*left)
		*left = xstrdup("{}");
	json_decref(o);
	return rc;
}
