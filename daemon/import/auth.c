/*
 * auth.c - token to source. Only the sha256 of a token is known to state.db; each http thread keeps what it has looked up, also what is unknown (a flood
 * of wrong tokens must not become a flood of queries), until state_config_version says that something changed. Known and unknown
 * tokens have tables of their own, so that the flood cannot push the known ones out. Hashes are compared in constant time; that of a token is no secret
 * a client could learn from time, but the rule costs nothing.
 */
#include "daemon/import/import_priv.h"

#include "daemon/state/seal.h"
#include "log.h"
#include "xalloc.h"

#define KNOWN 512u
#define UNKNOWN 64u

struct entry {
	bool used, inactive;
	unsigned char hash[32];
	struct source_rules *rules;
	int64_t paused_until; /* 0: not paused; NEVER: until resumed */
};

struct auth {
	struct state *state;
	const struct seal *seal;
	struct db *db;
	uint64_t version;
	struct entry known[KNOWN], unknown[UNKNOWN];
};

struct auth *auth_new(struct state *s, const struct seal *seal)
{
	struct auth *a = xcalloc(1, sizeof(*a));

	a->state = s;
	a->seal = seal;
	return a;
}

static void forget(struct auth *a)
{
	for (size_t i = 0; i < KNOWN; i++)
		rules_free(a->known[i].rules);
	memset(a->known, 0, sizeof(a->known));
	memset(a->unknown, 0, sizeof(a->unknown));
}

void auth_free(struct auth *a)
{
	if (!a)
		return;
	forget(a);
	if (a->db)
		state_reader_close(a->db);
	free(a);
}

static struct entry *slot(struct entry *table, size_t n, const unsigned char hash[32])
{
	size_t i;

	memcpy(&i, hash, sizeof(i));
	return &table[i % n];
}

static bool holds(const struct entry *e, const unsigned char hash[32])
{
	unsigned different = 0;

	for (size_t i = 0; i < 32; i++)
		different |= e->hash[i] ^ hash[i];
	return e->used && !different;
}

/* Is the source paused, and until when? */
static int look_at_pauses(struct db *db, struct entry *e, struct err *err)
{
	struct pause_row *rows = NULL;
	size_t n = 0;

	if (db_pause_list(db, &rows, &n, err))
		return -1;
	for (size_t i = 0; i < n; i++)
		if (rows[i].kind == PAUSE_SOURCE && rows[i].object_id == e->rules->source_id)
			e->paused_until = rows[i].until ? rows[i].until : NEVER;
	pause_list_free(rows, n);
	return 0;
}

static int look_up(struct auth *a, struct entry *e, struct err *err)
{
	struct source_row s = {.id = 0};
	int rc;

	if (!a->db)
		a->db = state_reader(a->state, err);
	if (!a->db)
		return -1;
	if (db_token_find(a->db, e->hash, &s, err))
		return -1;
	rc = rules_new(&s, a->seal, &e->rules, err);
	e->inactive = s.deleted != 0;
	source_row_free(&s);
	return rc || look_at_pauses(a->db, e, err) ? -1 : 0;
}

static int not_authorized(struct refusal *r)
{
	return refuse_json(r, 401, "{\"message\":\"Not Authorized\"}");
}

int auth_check(struct auth *a, struct str token, bool webhook, struct source_rules **rules, struct refusal *r)
{
	uint64_t version = state_config_version(a->state);
	struct entry fresh = {.used = true}, *e;
	struct err err = ERR_INIT;

	if (!token.len)
		return not_authorized(r);
	if (version != a->version) {
		forget(a);
		a->version = version;
	}
	seal_hash_token(token, fresh.hash);
	e = slot(a->known, KNOWN, fresh.hash);
	if (!holds(e, fresh.hash)) {
		if (holds(slot(a->unknown, UNKNOWN, fresh.hash), fresh.hash))
			return not_authorized(r);
		if (look_up(a, &fresh, &err)) {
			rules_free(fresh.rules);
			fresh.rules = NULL;
			if (err.code == ERR_NOT_FOUND) {
				*slot(a->unknown, UNKNOWN, fresh.hash) = fresh;
				return not_authorized(r);
			}
			log_warn("a token cannot be looked up: %s", err.text);
			return refuse_busy(r, "Tokens cannot be checked now");
		}
		rules_free(e->rules);
		*e = fresh;
	}
	if (e->rules->webhook != webhook)
		return not_authorized(r);
	if (e->inactive || (e->paused_until > now_get().real && !e->rules->hold))
		return refuse_json(r, 401, "{\"error\":\"Forbidden\",\"errors\":{\"error\":\"Connection is not active.\"}}");
	*rules = rules_use(e->rules);
	return 0;
}
