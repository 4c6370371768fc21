/*
 * types.c - freeing rows of state.db, and the names of job states. Freeing an empty (zeroed) row is allowed, and so is a list of none: callers
 * clean up without asking how far they came.
 */
#include "daemon/state/types.h"

void source_row_free(struct source_row *r)
{
	free(r->name);
	free(r->kind);
	free(r->settings);
	*r = (struct source_row){.name = NULL};
}

void destination_row_free(struct destination_row *r)
{
	free(r->name);
	free(r->kind);
	free(r->settings);
	free(r->error_class);
	free(r->error);
	*r = (struct destination_row){.name = NULL};
}

void batch_row_free(struct batch_row *r)
{
	free(r->table);
	free(r->path);
	free(r->reason);
	*r = (struct batch_row){.table = NULL};
}

void job_row_free(struct job_row *r)
{
	free(r->source);
	free(r->table);
	free(r->destination);
	free(r->error_class);
	free(r->error);
	*r = (struct job_row){.source = NULL};
}

void load_row_free(struct load_row *r)
{
	for (size_t i = 0; i < r->n; i++) {
		batch_row_free(&r->batches[i].batch);
		free(r->batches[i].held);
	}
	free(r->batches);
	free(r->source);
	free(r->table);
	free(r->schema);
	free(r->key_names);
	free(r->columns);
	*r = (struct load_row){.source = NULL};
}

void table_row_free(struct table_row *r)
{
	free(r->name);
	free(r->key_names);
	*r = (struct table_row){.name = NULL};
}

static void token_row_free(struct token_row *r)
{
	free(r->hint);
}

static void connection_row_free(struct connection_row *r)
{
	free(r->schema);
}

static void pause_row_free(struct pause_row *r)
{
	free(r->who);
	free(r->reason);
}

static void cursor_row_free(struct cursor_row *r)
{
	free(r->table);
}

static void candidate_row_free(struct load_candidate *r)
{
	free(r->table);
}

static void reject_row_free(struct reject_row *r)
{
	free(r->field);
	free(r->value);
	free(r->reason);
	free(r->raw);
}

static void tally_row_free(struct tally_row *r)
{
	free(r->table);
}

static void event_row_free(struct event_row *r)
{
	free(r->level);
	free(r->kind);
	free(r->object);
	free(r->text);
}

static void audit_row_free(struct audit_row *r)
{
	free(r->who);
	free(r->action);
	free(r->object);
	free(r->before);
	free(r->after);
	free(r->result);
}

#define LIST_FREE(name, type, free_one)         \
	void name(struct type *r, size_t n)     \
	{                                       \
		for (size_t i = 0; i < n; i++)  \
			free_one(&r[i]);        \
		free(r);                        \
	}
LIST_FREE(source_list_free, source_row, source_row_free)
LIST_FREE(token_list_free, token_row, token_row_free)
LIST_FREE(destination_list_free, destination_row, destination_row_free)
LIST_FREE(connection_list_free, connection_row, connection_row_free)
LIST_FREE(pause_list_free, pause_row, pause_row_free)
LIST_FREE(table_list_free, table_row, table_row_free)
LIST_FREE(cursor_list_free, cursor_row, cursor_row_free)
LIST_FREE(candidate_list_free, load_candidate, candidate_row_free)
static void discard_row_free(struct discard_row *r)
{
	free(r->schema);
}

LIST_FREE(discard_list_free, discard_row, discard_row_free)
LIST_FREE(job_list_free, job_row, job_row_free)
LIST_FREE(batch_list_free, batch_row, batch_row_free)
LIST_FREE(reject_list_free, reject_row, reject_row_free)
LIST_FREE(tally_list_free, tally_row, tally_row_free)
LIST_FREE(event_list_free, event_row, event_row_free)
LIST_FREE(audit_list_free, audit_row, audit_row_free)

static const char *const state_names[] = {"", "ready", "active", "done", "deferred", "held", "rejected", "corrupt", "discarded"};

const char *job_state_name(enum job_state s)
{
	return s >= JOB_READY && s <= JOB_DISCARDED ? state_names[s] : "unknown";
}

int job_state_parse(struct str s, enum job_state *out)
{
	for (size_t i = JOB_READY; i < ARRAY_LEN(state_names); i++) {
		if (str_eqc(s, state_names[i])) {
			*out = (enum job_state)i;
			return 0;
		}
	}
	return -1;
}
