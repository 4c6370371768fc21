/*
 * sf_error.c - Snowflake's error codes to classes and to what a person does. The longest matching prefix of the code decides, then the SQLSTATE, then the status. What
 * is unknown is a config error, because trying it again for ever would hide it; only what says "not now" is transient, only what speaks of a value is data.
 *
 * 002003 says "does not exist or not authorized" without telling which: the answer to both is the same list of grants.
 */
#include "loaders/snowflake/sf_error.h"

#include "str.h"

enum fix { NO_FIX, FIX_KEY, FIX_ACCOUNT, FIX_GRANTS, FIX_WAREHOUSE, FIX_MONITOR, FIX_STAGE, FIX_NETWORK, FIX_ROLE };

struct rule {
	const char *prefix;
	enum err_code code;
	enum fix fix;
};

static const struct rule rules[] = {
	{"000603", ERR_TRANSIENT, NO_FIX}, /* internal error of Snowflake's, with an incident number */
	{"000604", ERR_TRANSIENT, NO_FIX}, /* cancelled */
	{"000606", ERR_CONFIG, FIX_WAREHOUSE},
	{"000607", ERR_TRANSIENT, NO_FIX}, /* the warehouse was suspended meanwhile */
	{"000608", ERR_TRANSIENT, NO_FIX}, /* it starts or stops */
	{"000610", ERR_TRANSIENT, NO_FIX},
	{"000625", ERR_TRANSIENT, NO_FIX}, /* waited for a lock for too long, or a deadlock */
	{"000630", ERR_TRANSIENT, NO_FIX}, /* statement time-out */
	{"000709", ERR_TRANSIENT, NO_FIX},
	{"000904", ERR_TRANSIENT, NO_FIX}, /* a column was dropped after it was looked at: the next try adds it again */
	{"001003", ERR_CONFIG, NO_FIX},	   /* syntax */
	{"002003", ERR_CONFIG, FIX_GRANTS},
	{"002043", ERR_CONFIG, FIX_GRANTS},
	{"003001", ERR_CONFIG, FIX_GRANTS},
	{"003030", ERR_CONFIG, FIX_GRANTS},
	{"003041", ERR_CONFIG, FIX_GRANTS},
	{"003167", ERR_CONFIG, FIX_STAGE}, /* an integration that does not exist or may not be used */
	{"090073", ERR_CONFIG, FIX_MONITOR},
	{"090105", ERR_CONFIG, FIX_GRANTS}, /* no current database */
	{"090106", ERR_CONFIG, FIX_GRANTS},
	{"0910", ERR_CONFIG, FIX_STAGE},
	{"091016", ERR_TRANSIENT, NO_FIX}, /* the staged file is not there (any more) */
	{"091019", ERR_TRANSIENT, NO_FIX},
	{"100", ERR_DATA, NO_FIX},
	{"250001", ERR_CONFIG, FIX_ACCOUNT},
	{"300002", ERR_TRANSIENT, NO_FIX},
	{"370001", ERR_TRANSIENT, NO_FIX}, /* internal error */
	{"390100", ERR_CONFIG, FIX_KEY},
	{"390101", ERR_CONFIG, FIX_KEY},
	{"390110", ERR_TRANSIENT, NO_FIX}, /* session gone */
	{"390111", ERR_TRANSIENT, NO_FIX},
	{"390112", ERR_TRANSIENT, NO_FIX},
	{"390114", ERR_TRANSIENT, NO_FIX}, /* token expired */
	{"390144", ERR_CONFIG, FIX_KEY},
	{"390186", ERR_CONFIG, FIX_ROLE},
	{"390189", ERR_CONFIG, FIX_ROLE},
	{"390201", ERR_CONFIG, FIX_GRANTS},
	{"390313", ERR_CONFIG, FIX_ROLE},
	{"390403", ERR_CONFIG, FIX_NETWORK},
	{"390420", ERR_CONFIG, FIX_NETWORK}, /* network policy */
	{"390422", ERR_CONFIG, FIX_NETWORK},
};

static const struct rule *rule_of(const char *code)
{
	const struct rule *best = NULL;

	for (size_t k = 0; k < ARRAY_LEN(rules); k++)
		if (*code && strncmp(code, rules[k].prefix, strlen(rules[k].prefix)) == 0 && (!best || strlen(rules[k].prefix) > strlen(best->prefix)))
			best = &rules[k];
	return best;
}

/* The object store behind a stage has troubles that pass. */
static bool stage_is_busy(const char *message)
{
	static const char *const words[] = {"SlowDown", "ServiceUnavailable", "Status Code: 5", "RequestTimeout", "InternalError", "timed out", "Connection reset"};

	for (size_t k = 0; k < ARRAY_LEN(words); k++)
		if (strstr(message, words[k]))
			return true;
	return false;
}

enum err_code sf_error_class(const char *code, const char *state, unsigned status, const char *message)
{
	const struct rule *r = rule_of(code);

	if (r && strncmp(code, "0910", 4) == 0 && stage_is_busy(message))
		return ERR_TRANSIENT;
	if (r)
		return r->code;
	if (strncmp(state, "22", 2) == 0)
		return ERR_DATA;
	if (strncmp(state, "57", 2) == 0 || strncmp(state, "40", 2) == 0)
		return ERR_TRANSIENT;
	if (status == 408 || status == 429 || status >= 500)
		return ERR_TRANSIENT;
	return ERR_CONFIG;
}

void sf_ident(struct buf *sql, const char *name, bool upper)
{
	buf_addc(sql, '"');
	for (; *name; name++) {
		if (*name == '"')
			buf_addc(sql, '"');
		buf_addc(sql, upper && *name >= 'a' && *name <= 'z' ? (char)(*name - 'a' + 'A') : *name);
	}
	buf_addc(sql, '"');
}

/* " KIND "NAME"" */
static void name(struct buf *out, const char *kind, const char *a, const char *b)
{
	buf_addf(out, " %s ", kind);
	sf_ident(out, a, false);
	if (b) {
		buf_addc(out, '.');
		sf_ident(out, b, false);
	}
}

static void grants(const struct sf_names *n, struct buf *out)
{
	buf_adds(out, "As a user who may grant, run:");
	buf_adds(out, " GRANT USAGE, CREATE SCHEMA ON");
	name(out, "DATABASE", n->database, NULL);
	buf_adds(out, " TO");
	name(out, "ROLE", n->role, NULL);
	buf_addc(out, ';');
	if (n->schema) {
		buf_adds(out, " (or, where the schema is there already: GRANT USAGE ON");
		name(out, "DATABASE", n->database, NULL);
		buf_adds(out, " TO");
		name(out, "ROLE", n->role, NULL);
		buf_adds(out, "; GRANT USAGE, CREATE TABLE ON");
		name(out, "SCHEMA", n->database, n->schema);
		buf_adds(out, " TO");
		name(out, "ROLE", n->role, NULL);
		buf_adds(out, ";)");
	}
	buf_adds(out, " GRANT");
	name(out, "ROLE", n->role, NULL);
	buf_adds(out, " TO");
	name(out, "USER", n->user, NULL);
	buf_adds(out, "; or correct the settings database and role.");
}

static void to_role(const struct sf_names *n, struct buf *out)
{
	buf_adds(out, " TO");
	name(out, "ROLE", n->role, NULL);
	buf_addc(out, ';');
}

static void stage(const struct sf_names *n, struct buf *out)
{
	if (n->stage && *n->stage) {
		buf_addf(out, "Run: GRANT USAGE ON STAGE %s", n->stage);
		to_role(n, out);
		buf_adds(out, " and see that its URL is the folder s3_prefix of the bucket s3_bucket.");
	} else if (n->integration && *n->integration) {
		buf_adds(out, "Run: GRANT USAGE ON");
		buf_adds(out, " INTEGRATION ");
		sf_ident(out, n->integration, true); /* sent without quotes, so it is folded */
		to_role(n, out);
		buf_adds(out, " and see that its STORAGE_ALLOWED_LOCATIONS have the bucket and s3_prefix (DESC INTEGRATION).");
	} else {
		buf_adds(out, "Let the key s3_access_key read the bucket: s3:GetObject and s3:GetObjectVersion on its objects, s3:ListBucket and s3:GetBucketLocation on it; "
			      "or set storage_integration or stage.");
	}
}

static void warehouse(const struct sf_names *n, struct buf *out)
{
	if (!n->warehouse || !*n->warehouse) {
		buf_adds(out, "Set the setting warehouse, and run: GRANT USAGE ON WAREHOUSE ...");
		to_role(n, out);
		return;
	}
	buf_adds(out, "Run: GRANT USAGE ON");
	name(out, "WAREHOUSE", n->warehouse, NULL);
	to_role(n, out);
	buf_adds(out, " ALTER");
	name(out, "WAREHOUSE", n->warehouse, NULL);
	buf_adds(out, " SET AUTO_RESUME = TRUE; or correct the setting warehouse.");
}

static void key(const struct sf_names *n, struct buf *out)
{
	buf_adds(out, "See that account and user are right and that the user has this key's public half: ALTER");
	name(out, "USER", n->user, NULL);
	buf_adds(out, " SET RSA_PUBLIC_KEY = '...'; then DESC");
	name(out, "USER", n->user, NULL);
	buf_addf(out, " shows RSA_PUBLIC_KEY_FP = %s. The clocks must agree, too.", n->fingerprint);
}

static void role(const struct sf_names *n, struct buf *out)
{
	buf_adds(out, "Run: GRANT");
	name(out, "ROLE", n->role, NULL);
	buf_adds(out, " TO");
	name(out, "USER", n->user, NULL);
	buf_adds(out, "; or correct the setting role.");
}

void sf_error_fix(const char *code, const struct sf_names *n, struct buf *out)
{
	const struct rule *r = rule_of(code);
	struct sf_names names = *n;

	if (!n->role || !*n->role)
		names.role = "PUBLIC";
	switch (r ? r->fix : NO_FIX) {
	case NO_FIX:
		break;
	case FIX_KEY:
		key(n, out);
		break;
	case FIX_ACCOUNT:
		buf_addf(out, "Correct the setting account (it is %s) or url.", n->account);
		break;
	case FIX_ROLE:
		role(&names, out);
		break;
	case FIX_GRANTS:
		grants(&names, out);
		break;
	case FIX_WAREHOUSE:
		warehouse(&names, out);
		break;
	case FIX_MONITOR:
		buf_adds(out, "The warehouse's resource monitor has used up its quota: raise it (ALTER RESOURCE MONITOR ... SET CREDIT_QUOTA = ...), wait for its next period, or set another warehouse.");
		break;
	case FIX_STAGE:
		stage(&names, out);
		break;
	case FIX_NETWORK:
		buf_adds(out, "A network policy keeps this machine out: add its address (ALTER NETWORK POLICY ... SET ALLOWED_IP_LIST = (...)), or set a policy for the user alone.");
		break;
	}
}

uint64_t sf_error_line(const char *message)
{
	static const char *const words[] = {", line ", "Row "};
	uint64_t line = 0;

	for (size_t k = 0; k < ARRAY_LEN(words) && !line; k++) {
		const char *p = strstr(message, words[k]);
		size_t n;

		if (!p)
			continue;
		p += strlen(words[k]);
		n = strspn(p, "0123456789");
		if (str_to_u64(str_mem(p, n), &line))
			line = 0;
	}
	return line;
}
