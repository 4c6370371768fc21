/*
 * world.c - sources, destinations, connections and pauses as one picture for a method that needs several of them, and names into ids.
 */
#include "daemon/control/control_priv.h"

#include "daemon/spool/dest_rules.h"

#include "timefmt.h"
#include "xalloc.h"

#define PAGE 1000

static int load_sources(struct db *db, struct world *w, struct err *e)
{
	struct source_row *rows;
	int64_t after = 0;
	size_t n;

	do {
		if (db_source_list(db, after, PAGE, &rows, &n, e))
			return -1;
		if (n) {
			w->sources = xreallocarray(w->sources, w->n_sources + n, sizeof(*rows));
			memcpy(w->sources + w->n_sources, rows, n * sizeof(*rows));
			w->n_sources += n;
			after = rows[n - 1].id;
		}
		/* the strings are ours now */
		free(rows);
	} while (n == PAGE);
	return 0;
}

/* A window of maintenance looks like any other pause of its destination, with a who that nobody can have. */
static void add_maintenance(struct world *w)
{
	for (size_t k = 0; k < w->n_destinations; k++) {
		const struct destination_row *d = &w->destinations[k];
		struct dest_rules rules;
		int64_t since, until;

		if (!d->settings || !strstr(d->settings, "\"maintenance\"") || world_pause(w, PAUSE_DESTINATION, d->id))
			continue;
		if (dest_rules_read(d->settings, &rules, NULL, NULL) == 0 && dest_rules_maintenance(&rules, w->now, &since, &until)) {
			w->pauses = xreallocarray(w->pauses, w->n_pauses + 1, sizeof(*w->pauses));
			w->pauses[w->n_pauses++] = (struct pause_row){.kind = PAUSE_DESTINATION,
				.object_id = d->id,
				.who = xstrdup(WORLD_MAINTENANCE),
				.reason = xstrdup("by its setting maintenance"),
				.since = since,
				.until = until};
		}
		dest_rules_free(&rules);
	}
}

int world_load(struct db *db, struct world *w, struct err *e)
{
	*w = (struct world){.now = now_get().real};
	if (load_sources(db, w, e) || db_destination_list(db, &w->destinations, &w->n_destinations, e) ||
		db_connection_list(db, &w->connections, &w->n_connections, e) || db_pause_list(db, &w->pauses, &w->n_pauses, e)) {
		world_free(w);
		return -1;
	}
	add_maintenance(w);
	return 0;
}

void world_free(struct world *w)
{
	source_list_free(w->sources, w->n_sources);
	destination_list_free(w->destinations, w->n_destinations);
	connection_list_free(w->connections, w->n_connections);
	pause_list_free(w->pauses, w->n_pauses);
	*w = (struct world){.now = 0};
}

const struct source_row *world_source(const struct world *w, int64_t id)
{
	for (size_t k = 0; k < w->n_sources; k++)
		if (w->sources[k].id == id)
			return &w->sources[k];
	return NULL;
}

const struct source_row *world_source_named(const struct world *w, const char *name, struct err *e)
{
	for (size_t k = 0; k < w->n_sources; k++)
		if (strcmp(w->sources[k].name, name) == 0)
			return &w->sources[k];
	err_set(e, ERR_NOT_FOUND, "there is no source \"%s\"", name);
	return NULL;
}

const struct destination_row *world_destination(const struct world *w, int64_t id)
{
	for (size_t k = 0; k < w->n_destinations; k++)
		if (w->destinations[k].id == id)
			return &w->destinations[k];
	return NULL;
}

const struct destination_row *world_destination_named(const struct world *w, const char *name, struct err *e)
{
	for (size_t k = 0; k < w->n_destinations; k++)
		if (strcmp(w->destinations[k].name, name) == 0)
			return &w->destinations[k];
	err_set(e, ERR_NOT_FOUND, "there is no destination \"%s\"", name);
	return NULL;
}

const struct connection_row *world_connection(const struct world *w, int64_t source_id, int64_t destination_id)
{
	for (size_t k = 0; k < w->n_connections; k++)
		if (w->connections[k].source_id == source_id && w->connections[k].destination_id == destination_id)
			return &w->connections[k];
	return NULL;
}

const struct pause_row *world_pause(const struct world *w, enum pause_kind kind, int64_t object_id)
{
	for (size_t k = 0; k < w->n_pauses; k++) {
		const struct pause_row *p = &w->pauses[k];

		if (p->kind == kind && p->object_id == object_id && (!p->until || p->until > w->now))
			return p;
	}
	return NULL;
}

json_t *pause_json(const struct pause_row *p)
{
	return json_pack("{s:o, s:o, s:o, s:o}", "by", text_json(p->who), "since", time_iso_json(p->since), "until", time_iso_json(p->until), "reason",
		text_json(p->reason ? p->reason : ""));
}

static int by_full_name(struct db *db, const struct world *w, const char *name, struct table_row *out)
{
	const char *dot = strchr(name, '.');

	for (size_t k = 0; dot && k < w->n_sources; k++)
		if (str_eqc(str_mem(name, (size_t)(dot - name)), w->sources[k].name))
			return db_table_get(db, w->sources[k].id, str_c(dot + 1), out, NULL);
	return -1;
}

int world_table_named(struct db *db, const struct world *w, const char *name, struct table_row *out, struct err *e)
{
	struct table_row t;
	unsigned found = 0;

	*out = (struct table_row){.id = 0};
	if (!by_full_name(db, w, name, out))
		return 0;
	for (size_t k = 0; k < w->n_sources; k++) {
		t = (struct table_row){.id = 0};
		if (db_table_get(db, w->sources[k].id, str_c(name), &t, NULL))
			continue;
		if (found++)
			table_row_free(&t);
		else
			*out = t;
	}
	if (found == 1)
		return 0;
	table_row_free(out);
	*out = (struct table_row){.id = 0};
	if (found)
		return err_set(e, ERR_INVALID, "%u sources have a table \"%s\": say SOURCE.%s", found, name, name);
	return err_set(e, ERR_NOT_FOUND, "there is no table \"%s\" (SOURCE.TABLE; a table is known once its first batch is cut)", name);
}

int world_filter(struct control_call *c, int64_t *destination_id, int64_t *table_id, struct err *e)
{
	const char *destination = param_str(c, "destination"), *table = param_str(c, "table");
	const struct destination_row *d = NULL;
	struct table_row t = {.id = 0};
	struct world w;
	int rc = -1;

	*destination_id = *table_id = 0;
	if (!destination && !table)
		return 0;
	if (world_load(c->db, &w, e))
		return -1;
	if ((destination && !(d = world_destination_named(&w, destination, e))) || (table && world_table_named(c->db, &w, table, &t, e)))
		goto out;
	*destination_id = d ? d->id : 0;
	*table_id = t.id;
	table_row_free(&t);
	rc = 0;
out:
	world_free(&w);
	return rc;
}
