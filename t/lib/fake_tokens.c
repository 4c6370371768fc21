/*
 * fake_tokens.c - the calls of state.h and seal.h that the door makes, over a table of three tokens: one good, one of a paused source, one of a
 * deleted one. For the door's tests. Any thread.
 */
#include "fake_tokens.h"

#include <stdatomic.h>

#include "daemon/state/seal.h"
#include "xalloc.h"

struct state {
	_Atomic uint64_t version;
};
static struct state one = {.version = 1};
_Atomic unsigned fake_lookups;
_Atomic bool fake_paused, fake_sick;

static const char *const tokens[] = {"at_good", "at_paused", "at_deleted"};

struct state *fake_tokens(void)
{
	return &one;
}

void fake_tokens_changed(void)
{
	atomic_fetch_add(&one.version, 1);
}

void seal_hash_token(struct str token, unsigned char out[32])
{
	memset(out, 0, 32);
	memcpy(out, token.ptr, MIN(token.len, 32));
}

struct db *state_reader(struct state *s, struct err *e)
{
	(void)e;
	return (struct db *)(void *)s;
}

void state_reader_close(struct db *db)
{
	(void)db;
}

uint64_t state_config_version(const struct state *s)
{
	return atomic_load(&s->version);
}

bool state_broken(const struct state *s)
{
	(void)s;
	return false;
}

int db_token_find(struct db *db, const unsigned char hash[32], struct source_row *out, struct err *e)
{
	(void)db;
	atomic_fetch_add(&fake_lookups, 1);
	if (atomic_load(&fake_sick))
		return err_set(e, ERR_IO, "a fault that the test asked for");
	for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
		if (strcmp((const char *)hash, tokens[i]) != 0)
			continue;
		*out = (struct source_row){.id = (int64_t)i + 7, .client_id = 1, .deleted = i == 2, .name = xstrdup("shop")};
		return 0;
	}
	return err_set(e, ERR_NOT_FOUND, "no such token");
}

void source_row_free(struct source_row *r)
{
	free(r->name);
}

int db_pause_list(struct db *db, struct pause_row **out, size_t *n, struct err *e)
{
	(void)db;
	(void)e;
	*out = xcalloc(2, sizeof(**out));
	(*out)[0] = (struct pause_row){.kind = PAUSE_SOURCE, .object_id = 8};
	(*out)[1] = (struct pause_row){.kind = PAUSE_SOURCE, .object_id = 7};
	*n = atomic_load(&fake_paused) ? 2 : 1;
	return 0;
}

void pause_list_free(struct pause_row *r, size_t n)
{
	(void)n;
	free(r);
}
