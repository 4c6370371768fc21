/*
 * kinds.c - which settings a kind of source or destination has, which of them must be there, and which are secret. The one place that knows;
 * a loader checks the values themselves when it connects.
 */
#include "daemon/control/control_priv.h"

#include "daemon/spool/dest_rules.h"

#include "xalloc.h"

enum { MUST = 1, SECRET = 2 };

struct setting {
	const char *name;
	unsigned flags;
};

struct kind {
	const char *name;
	struct setting settings[20];
};

static const struct kind destinations[] = {
	{"sqlite", {{"path", MUST}}},
	{"postgres", {{"host", 0}, {"port", 0}, {"user", 0}, {"password", SECRET}, {"dbname", MUST}, {"sslmode", 0}, {"numbers", 0}}},
	{"redshift", {{"host", MUST}, {"port", 0}, {"user", 0}, {"password", SECRET}, {"dbname", MUST}, {"sslmode", 0}, {"numbers", 0}, {"s3_bucket", MUST},
			     {"s3_region", 0}, {"s3_endpoint", 0}, {"s3_prefix", 0}, {"s3_access_key", MUST}, {"s3_secret_key", MUST | SECRET},
			     {"s3_session_token", SECRET}, {"s3_iam_role", 0}}},
	{"bigquery", {{"project", 0}, {"credentials", MUST | SECRET}, {"location", 0}, {"partition", 0}, {"loading", 0}, {"url", 0}}},
	{"s3", {{"endpoint", 0}, {"bucket", MUST}, {"region", 0}, {"access_key", MUST}, {"secret_key", MUST | SECRET}, {"session_token", SECRET}, {"format", 0},
		       {"key_template", 0}, {"csv_delimiter", 0}, {"csv_force_quote", 0}, {"path_style", 0}, {"sse", 0}}},
	{"snowflake", {{"url", 0}, {"account", MUST}, {"user", MUST}, {"private_key", MUST | SECRET}, {"database", MUST}, {"warehouse", 0}, {"role", 0}, {"schema", 0},
			      {"numbers", 0}, {"s3_bucket", MUST}, {"s3_region", 0}, {"s3_endpoint", 0}, {"s3_prefix", 0}, {"s3_access_key", MUST},
			      {"s3_secret_key", MUST | SECRET}, {"s3_session_token", SECRET}, {"storage_integration", 0}, {"stage", 0}}},
};

static const struct kind sources[] = {
	{"import", {{"when_paused", 0}, {"rate_limit", 0}}},
	{"webhook", {{"key", 0}, {"table_field", 0}, {"signature_header", 0}, {"signature_algorithm", 0}, {"secret", SECRET}, {"secret_old", SECRET},
			    {"form", 0}, {"when_paused", 0}, {"rate_limit", 0}}},
};
static const char *const sources_to_come[] = {"singer", "file", "postgres", "http"};

/* "a, b, c" of the kinds of destinations. */
static const char *destination_names(struct buf *out)
{
	for (size_t k = 0; k < ARRAY_LEN(destinations); k++)
		buf_addf(out, "%s%s", k ? ", " : "", destinations[k].name);
	return buf_cstr(out);
}

static const struct kind *find(const struct kind *list, size_t n, const char *name)
{
	for (size_t k = 0; k < n; k++)
		if (strcmp(list[k].name, name) == 0)
			return &list[k];
	return NULL;
}

static const struct kind *kind_of(const char *name, bool source)
{
	return source ? find(sources, ARRAY_LEN(sources), name) : find(destinations, ARRAY_LEN(destinations), name);
}

static const struct setting *setting_of(const struct kind *k, const char *name)
{
	for (size_t i = 0; k && i < ARRAY_LEN(k->settings) && k->settings[i].name; i++)
		if (strcmp(k->settings[i].name, name) == 0)
			return &k->settings[i];
	return NULL;
}

static int unknown_setting(const struct kind *k, const char *source_or_destination, const char *key, struct err *e)
{
	struct buf names = BUF_INIT;

	for (size_t i = 0; i < ARRAY_LEN(k->settings) && k->settings[i].name; i++)
		buf_addf(&names, "%s%s", i ? " " : "", k->settings[i].name);
	for (size_t i = 0; source_or_destination[0] == 'd' && dest_rule_names[i]; i++)
		buf_addf(&names, "%s%s", names.len ? " " : "", dest_rule_names[i]);
	err_set(e, ERR_INVALID, "a %s %s has no setting \"%s\" (it has: %s)", k->name, source_or_destination, key, names.len ? buf_cstr(&names) : "none");
	buf_free(&names);
	return -1;
}

static int check(const struct kind *k, const char *what, json_t *settings, bool whole, struct err *e)
{
	const char *key;
	json_t *value;

	json_object_foreach(settings, key, value)
	{
		if (!setting_of(k, key) && (what[0] != 'd' || !dest_rule_is(key)))
			return unknown_setting(k, what, key, e);
		if (!json_is_string(value))
			return err_set(e, ERR_INVALID, "setting \"%s\" must be text", key);
	}
	for (size_t i = 0; whole && i < ARRAY_LEN(k->settings) && k->settings[i].name; i++) {
		const char *v = json_string_value(json_object_get(settings, k->settings[i].name));

		if ((k->settings[i].flags & MUST) && (!v || !*v))
			return err_set(e, ERR_INVALID, "a %s %s needs the setting \"%s\" (--set %s=...)", k->name, what, k->settings[i].name,
				k->settings[i].name);
	}
	return 0;
}

static bool one_of(const char *v, const char *const *list)
{
	while (*list && strcmp(v, *list) != 0)
		list++;
	return *list != NULL;
}

/* Values that the door relies on (import/rules.c). */
static int check_source_values(json_t *settings, struct err *e)
{
	static const char *const algorithms[] = {"sha256", "sha1", NULL}, *const pauses[] = {"refuse", "hold", NULL};
	const char *paused = json_string_value(json_object_get(settings, "when_paused")), *rate = json_string_value(json_object_get(settings, "rate_limit"));
	const char *key = json_string_value(json_object_get(settings, "key")), *form = json_string_value(json_object_get(settings, "form"));
	const char *algorithm = json_string_value(json_object_get(settings, "signature_algorithm"));
	const char *header = json_string_value(json_object_get(settings, "signature_header")), *secret = json_string_value(json_object_get(settings, "secret"));
	uint64_t n;

	if (paused && *paused && !one_of(paused, pauses))
		return err_set(e, ERR_INVALID, "when_paused is refuse (requests are answered 401) or hold (they are taken, and not loaded until it is resumed), not \"%s\"", paused);
	if (rate && *rate && (str_to_u64(str_c(rate), &n) || !n || n > 1000000000))
		return err_set(e, ERR_INVALID, "rate_limit is a number of records per second, from 1 to 1000000000, not \"%s\"", rate);
	if (key && strlen(key) > 50)
		return err_set(e, ERR_INVALID, "key names a field of the records, in at most 50 characters");
	if (form && *form && strcmp(form, "fields") != 0 && (strncmp(form, "json:", 5) != 0 || !form[5]))
		return err_set(e, ERR_INVALID, "form is \"fields\" (each field is a column) or \"json:NAME\" (the field NAME holds JSON), not \"%s\"", form);
	if (algorithm && *algorithm && !one_of(algorithm, algorithms))
		return err_set(e, ERR_INVALID, "signature_algorithm is sha256 or sha1, not \"%s\"", algorithm);
	if ((header && *header) != (secret && *secret))
		return err_set(e, ERR_INVALID, "signature_header and secret belong together: one says where the signature is, the other what it is made with");
	return 0;
}

int kind_check_source(const char *kind, json_t *settings, struct err *e)
{
	const struct kind *k = kind_of(kind, true);

	for (size_t i = 0; !k && i < ARRAY_LEN(sources_to_come); i++)
		if (strcmp(kind, sources_to_come[i]) == 0)
			return err_set(e, ERR_INVALID, "this build has no source of kind %s", kind);
	if (!k)
		return err_set(e, ERR_INVALID, "there is no kind of source \"%s\" (import, webhook)", kind);
	return check(k, "source", settings, true, e) || check_source_values(settings, e) ? -1 : 0;
}

int kind_check_destination(const char *kind, json_t *settings, bool whole, struct err *e)
{
	const struct kind *k = kind_of(kind, false);
	const char *path = json_string_value(json_object_get(settings, "path"));

	if (!k) {
		struct buf names = BUF_INIT;

		err_set(e, ERR_INVALID, "there is no kind of destination \"%s\" (%s)", kind, destination_names(&names));
		buf_free(&names);
		return -1;
	}
	if (check(k, "destination", settings, whole, e) || dest_rules_check(settings, e))
		return -1;
	if (path && *path && *path != '/')
		return err_set(e, ERR_INVALID, "path must be absolute: \"%s\" would depend on the daemon's working folder", path);
	return 0;
}

json_t *kind_seal(const struct seal *seal, const char *kind, bool source, json_t *settings)
{
	const struct kind *k = kind_of(kind, source);
	json_t *out = json_object(), *value;
	const char *key;

	json_object_foreach(settings, key, value)
	{
		const struct setting *s = setting_of(k, key);
		struct buf b = BUF_INIT;

		bool secret = s ? (s->flags & SECRET) != 0 : !source && dest_rule_is_secret(key);

		if (!secret || strncmp(json_string_value(value), "sealed:", 7) == 0) {
			json_object_set(out, key, value);
			continue;
		}
		seal_put(seal, str_mem(json_string_value(value), json_string_length(value)), &b);
		json_object_set_new(out, key, json_stringn(buf_cstr(&b), b.len));
		buf_free(&b);
	}
	return out;
}

static json_t *without_secrets(const char *kind, bool source, const char *settings, const char *instead)
{
	const struct kind *k = kind_of(kind, source);
	json_t *in = object_of(settings), *out = json_object(), *value;
	const char *key;

	json_object_foreach(in, key, value)
	{
		const struct setting *s = setting_of(k, key);
		/* what this build does not know may be a secret of another */
		bool secret = (!s && (source || !dest_rule_is(key))) || (s && (s->flags & SECRET)) || (json_is_string(value) && strncmp(json_string_value(value), "sealed:", 7) == 0);

		if (!secret)
			json_object_set(out, key, value);
		else if (instead)
			json_object_set_new(out, key, json_string(instead));
	}
	json_decref(in);
	return out;
}

json_t *kind_mask(const char *kind, bool source, const char *settings)
{
	return without_secrets(kind, source, settings, "***");
}

json_t *kind_public(const char *kind, bool source, const char *settings)
{
	return without_secrets(kind, source, settings, NULL);
}

json_t *kind_merge(const char *old_settings, json_t *changes)
{
	json_t *out = object_of(old_settings), *value;
	const char *key;

	json_object_foreach(changes, key, value)
	{
		if (json_is_string(value) && json_string_length(value) == 0)
			json_object_del(out, key);
		else
			json_object_set(out, key, value);
	}
	return out;
}
