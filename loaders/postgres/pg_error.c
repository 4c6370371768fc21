/*
 * pg_error.c - SQLSTATEs to classes. A table of prefixes, the longest match wins; what is unknown is a config error, because trying it again for ever would
 * hide it. Only states that say "not now" are transient, and only those that speak of a value are data: a wrong "data" would reject good records, a
 * wrong "transient" would only try again.
 */
#include "loaders/postgres/pg_error.h"

struct rule {
	const char *prefix;
	enum err_code code;
	const char *fix;
};

static const struct rule rules[] = {
	{"08", ERR_TRANSIENT, ""}, /* connection */
	{"08P01", ERR_CONFIG, "check that host and port are those of a PostgreSQL server"},
	{"0A000", ERR_CONFIG, ""},
	{"21000", ERR_CONFIG, "keys that are different as sent are equal for the server: give the key's column a deterministic collation"},
	{"22", ERR_DATA, ""},	   /* a value does not fit */
	{"23502", ERR_DATA, ""},   /* null where a column forbids it */
	{"23514", ERR_DATA, ""},   /* a CHECK of the user's refuses the row */
	{"23503", ERR_DATA, ""},   /* so does a foreign key of the user's */
	{"23505", ERR_DATA, ""},   /* and so does a unique index of the user's */
	{"23P01", ERR_DATA, ""},
	{"25006", ERR_TRANSIENT, "the server is read-only (a standby?)"},
	{"25P03", ERR_TRANSIENT, ""}, /* idle in transaction for too long */
	{"25P02", ERR_TRANSIENT, ""},
	{"28P01", ERR_CONFIG, "correct the settings user and password"},
	{"28000", ERR_CONFIG, "correct the setting user (and sslmode), or let this machine in by pg_hba.conf of the server"},
	{"28", ERR_CONFIG, "correct the settings user and password"},
	{"3D000", ERR_CONFIG, "create the database, or correct the setting dbname"},
	{"3F000", ERR_CONFIG, "create the schema, or grant CREATE on the database to the user"},
	{"40", ERR_TRANSIENT, ""}, /* serialization failure, deadlock */
	{"42501", ERR_CONFIG, "grant the missing right to the user of this destination"},
	{"42P01", ERR_TRANSIENT, ""}, /* the table was dropped after it was looked at: the next try makes it again */
	{"42703", ERR_TRANSIENT, ""}, /* the same with a column */
	{"42804", ERR_CONFIG, "put the column's type back, or rename the column: the next load then adds it again"},
	{"42P10", ERR_CONFIG, "put the table's primary key back (or drop the table: it is made again, and its jobs can be replayed)"},
	{"42", ERR_CONFIG, ""},
	{"53", ERR_TRANSIENT, ""}, /* disk full, out of memory, too many connections */
	{"54000", ERR_DATA, ""},   /* row or index row too big */
	{"54011", ERR_CONFIG, "the table has as many columns as PostgreSQL allows (1600); leave fields out, or drop columns and rewrite the table"},
	{"55000", ERR_TRANSIENT, ""},
	{"55P03", ERR_TRANSIENT, ""}, /* lock not available */
	{"55006", ERR_TRANSIENT, ""}, /* object in use */
	{"57", ERR_TRANSIENT, ""},    /* shut down, starting up, cancelled */
	{"57P04", ERR_CONFIG, "the database was dropped: create it again, or correct the setting dbname"},
	{"58", ERR_TRANSIENT, ""},    /* the server's own disk or files */
	{"P0001", ERR_DATA, ""},      /* a trigger of the user's raised it */
	{"XX000", ERR_TRANSIENT, ""},
};

static const struct rule *rule_of(const char *sqlstate)
{
	const struct rule *best = NULL;

	for (size_t k = 0; k < ARRAY_LEN(rules); k++)
		if (strncmp(sqlstate, rules[k].prefix, strlen(rules[k].prefix)) == 0 && (!best || strlen(rules[k].prefix) > strlen(best->prefix)))
			best = &rules[k];
	return best;
}

enum err_code pg_error_class(const char *sqlstate)
{
	const struct rule *r;

	if (!sqlstate || !*sqlstate)
		return ERR_TRANSIENT;
	r = rule_of(sqlstate);
	return r ? r->code : ERR_CONFIG;
}

const char *pg_error_fix(const char *sqlstate)
{
	const struct rule *r = sqlstate && *sqlstate ? rule_of(sqlstate) : NULL;

	return r ? r->fix : "";
}

const char *pg_error_of_connect(const char *message)
{
	static const struct {
		const char *words, *state;
	} known[] = {
		{"password authentication failed", "28P01"},
		{"no password supplied", "28P01"},
		{"authentication failed", "28000"},
		{"no pg_hba.conf entry", "28000"},
		{"pg_hba.conf rejects", "28000"},
		{"is not permitted to log in", "28000"},
		{"server does not support SSL", "28000"},
		{"SSL error: certificate verify failed", "28000"},
		{"root certificate file", "28000"},
		{"server certificate for", "28000"},
		{"permission denied for database", "42501"},
		{"received invalid response to", "08P01"},
		{"expected authentication request from server", "08P01"},
	};
	const char *database = strstr(message, "database \""), *role = strstr(message, "role \"");

	for (size_t k = 0; k < ARRAY_LEN(known); k++)
		if (strstr(message, known[k].words))
			return known[k].state;
	if (database && strstr(database, "\" does not exist"))
		return "3D000";
	if (role && strstr(role, "\" does not exist"))
		return "28000";
	return "";
}

int64_t pg_error_copy_line(const char *context, struct str *column)
{
	const char *p = context ? strstr(context, ", line ") : NULL;
	const char *end = p ? p + strlen(", line ") : NULL, *c;
	int64_t line;

	*column = STR_NULL;
	if (!p || strncmp(context, "COPY ", 5) != 0)
		return -1;
	for (p = end; *end >= '0' && *end <= '9';)
		end++;
	if (str_to_i64(str_mem(p, (size_t)(end - p)), &line) || line < 1)
		return -1;
	if (strncmp(end, ", column ", 9) == 0) {
		c = end + 9;
		*column = str_mem(c, strcspn(c, ":\n"));
	}
	return line;
}
