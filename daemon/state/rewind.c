/*
 * rewind.c - one transaction that goes back: the position falls, cursors behind it are deleted, and what will be read again is taken off the ledgers, exactly there
 * where it was counted (architecture.md, sections 3 and 6; model/README.md, FIX_DROP and FIX_RANGE).
 *
 * A batch counts the records of [first_offset, counted_end). Those that begin at `to` or behind it count nothing any more; one per table may lie across it, and
 * keeps what is before: the caller has summed the queue's headers, so its share is that sum less the whole batches and the dropped repeats. Its jobs
 * follow (they stay, and are loaded: the destination's ledger skips what it has). What a destination never had a job of comes off its `before`, for it
 * will get it now; repeats come off `loaded` of those that have them there.
 *
 * What can go wrong: headers that do not add up to what is counted here (a record that could not be read). The ledgers stay true to the rows; the difference is
 * told in the log and on the first screen.
 */
#include "daemon/state/state_rows.h"

#include "log.h"
#include "xalloc.h"

struct part {
	int64_t table_id;
	int64_t again;	 /* records behind `to`, by the queue's headers */
	int64_t repeats; /* of them dropped repeats */
	int64_t batches; /* of them in batches */
};

struct rewind {
	struct db *db;
	uint32_t partition;
	int64_t to;
	struct part *parts;
	size_t n;
};

static struct part *part_of(struct rewind *r, int64_t table_id)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->parts[i].table_id == table_id)
			return &r->parts[i];
	r->parts = xreallocarray(r->parts, r->n + 1, sizeof(*r->parts));
	r->parts[r->n] = (struct part){.table_id = table_id};
	return &r->parts[r->n++];
}

/* Tables that have something to take back: those of the caller, and those that count something here. */
static int gather(struct rewind *r, const struct tally_part *parts, size_t n, struct err *e)
{
	struct q q;
	int rc;

	for (size_t i = 0; i < n; i++) {
		int64_t table_id;

		if (db_table_of(r->db, parts[i].source_id, parts[i].table, 0, &table_id, e))
			return -1;
		part_of(r, table_id)->again += (int64_t)parts[i].records;
	}
	if (q_begin(&q, r->db, "SELECT table_id, sum(records) FROM (SELECT DISTINCT offset, table_id, records FROM dropped WHERE partition = ? AND offset >= ?) GROUP BY table_id", e))
		return -1;
	q_i64(&q, r->partition);
	q_i64(&q, r->to);
	while ((rc = q_row(&q, e)) == 1) {
		struct part *p = part_of(r, q_get_i64(&q));

		p->repeats = q_get_i64(&q);
	}
	if (rc || q_begin(&q, r->db,
			  "SELECT table_id, sum(counted) FROM batch WHERE partition = ?1 AND last_offset >= ?2 AND first_offset >= ?2 AND counted_end > ?2 "
			  "GROUP BY table_id",
			  e))
		return -1;
	q_i64(&q, r->partition);
	q_i64(&q, r->to);
	while ((rc = q_row(&q, e)) == 1) {
		struct part *p = part_of(r, q_get_i64(&q));

		p->batches = q_get_i64(&q);
	}
	return rc;
}

/* The batch that lies across `to`: how much of it goes. */
static int across(struct rewind *r, struct part *p, char id[BATCH_ID_LEN], int64_t *share, struct err *e)
{
	int64_t left = p->again - p->batches - p->repeats, counted = 0;
	struct q q;
	int rc;

	*share = 0;
	id[0] = '\0';
	if (q_begin(&q, r->db,
		    "SELECT id, counted FROM batch WHERE partition = ?1 AND last_offset >= ?2 AND table_id = ?3 AND first_offset < ?2 AND counted_end > ?2", e))
		return -1;
	q_i64(&q, r->partition);
	q_i64(&q, r->to);
	q_i64(&q, p->table_id);
	rc = q_row(&q, e);
	if (rc == 1) {
		q_get_fixed(&q, id, BATCH_ID_LEN);
		counted = q_get_i64(&q);
	}
	q_end(&q);
	if (rc < 0)
		return -1;
	*share = MAX(0, MIN(left, counted));
	if (*share != left)
		log_err("rewind: table %" PRId64 " counts %" PRId64 " records behind offset %" PRId64 ", the queue's headers say %" PRId64, p->table_id,
			p->batches + p->repeats + *share, r->to, p->again);
	return 0;
}

/* Of a destination that replays some of them those count there already, and go with whole_batches(). */
#define SHARE \
	"(?1 - (SELECT count(*) FROM batch rb JOIN job rj ON rj.batch_id = rb.id WHERE rb.replay_batch = job.batch_id AND rb.replay_batch <> '' AND " \
	"rb.first_offset >= ?3 AND rj.destination_id = job.destination_id AND rj.counted > 0))"

/* Jobs first: a trigger moves the tallies by what changes in them. */
static int cut_short(struct rewind *r, const char *id, int64_t share, struct err *e)
{
	struct q q;

	if (!*id)
		return 0;
	if (q_begin(&q, r->db,
		    "UPDATE job SET counted = max(counted - " SHARE ", 0), counted_rejected = min(counted_rejected, max(counted - " SHARE ", 0)) WHERE batch_id = ?2 AND "
		    "counted > 0",
		    e))
		return -1;
	q_i64(&q, share);
	q_text(&q, id);
	q_i64(&q, r->to);
	if (q_run(&q, e) || q_begin(&q, r->db, "UPDATE batch SET counted = counted - ?, counted_end = ? WHERE id = ?", e))
		return -1;
	q_i64(&q, share);
	q_i64(&q, r->to);
	q_text(&q, id);
	return q_run(&q, e);
}

static int whole_batches(struct rewind *r, int64_t table_id, struct err *e)
{
	struct q q;

	if (q_begin(&q, r->db,
		    "UPDATE job SET counted = 0, counted_rejected = 0 WHERE counted > 0 AND batch_id IN (SELECT id FROM batch WHERE partition = ?1 AND "
		    "last_offset >= ?2 AND table_id = ?3 AND first_offset >= ?2 AND counted_end > ?2)",
		    e))
		return -1;
	q_i64(&q, r->partition);
	q_i64(&q, r->to);
	q_i64(&q, table_id);
	if (q_run(&q, e) || q_begin(&q, r->db,
				    "UPDATE batch SET counted = 0, counted_end = first_offset WHERE partition = ?1 AND last_offset >= ?2 AND table_id = ?3 AND "
				    "first_offset >= ?2 AND counted_end > ?2",
				    e))
		return -1;
	q_i64(&q, r->partition);
	q_i64(&q, r->to);
	q_i64(&q, table_id);
	return q_run(&q, e);
}

/* What each destination counted of the table, apart from `before`: to be compared after the jobs have changed. */
struct counted {
	int64_t destination_id, sum, repeats;
	bool fed;
};

static int read_counted(struct rewind *r, int64_t table_id, struct counted **out, size_t *n, struct err *e)
{
	struct q q;
	int rc;

	*out = NULL;
	*n = 0;
	if (q_begin(&q, r->db,
		    "SELECT y.destination_id, y.spooled + y.loaded + y.rejected + y.discarded, "
		    "coalesce((SELECT sum(d.records) FROM dropped d WHERE d.partition = ?2 AND d.offset >= ?3 AND d.table_id = ?1 AND d.destination_id = y.destination_id), 0), "
		    "CASE WHEN y.destination_id = 0 THEN "
		    "NOT EXISTS (SELECT 1 FROM connection c WHERE c.source_id = t.source_id) ELSE EXISTS (SELECT 1 FROM connection c WHERE "
		    "c.source_id = t.source_id AND c.destination_id = y.destination_id) END FROM tally y JOIN tbl t ON t.id = y.table_id WHERE y.table_id = ?1 "
		    "ORDER BY y.destination_id",
		    e))
		return -1;
	q_i64(&q, table_id);
	q_i64(&q, r->partition);
	q_i64(&q, r->to);
	while ((rc = q_row(&q, e)) == 1) {
		struct counted *c;

		*out = xreallocarray(*out, *n + 1, sizeof(**out));
		c = &(*out)[(*n)++];
		c->destination_id = q_get_i64(&q);
		c->sum = q_get_i64(&q);
		c->repeats = q_get_i64(&q);
		c->fed = q_get_i64(&q) != 0;
	}
	return rc;
}

static int take_back(struct rewind *r, int64_t table_id, int64_t total, const struct counted *was, const struct counted *is, struct err *e)
{
	int64_t before = total - (was->sum - is->sum) - is->repeats;
	struct q q;

	/* one that is not connected is worked out anew when it is connected again */
	if (q_begin(&q, r->db,
		    "UPDATE tally SET loaded = loaded - ?1, before = CASE WHEN ?2 THEN before - ?3 ELSE max(before - ?3, 0) END, reread = reread + ?4 "
		    "WHERE table_id = ?5 AND destination_id = ?6",
		    e))
		return -1;
	q_i64(&q, is->repeats);
	q_i64(&q, is->fed);
	q_i64(&q, before);
	q_i64(&q, total);
	q_i64(&q, table_id);
	q_i64(&q, is->destination_id);
	return q_run(&q, e);
}

static int rewind_table(struct rewind *r, struct part *p, struct err *e)
{
	struct counted *was = NULL, *is = NULL;
	int64_t share = 0, total;
	char id[BATCH_ID_LEN];
	size_t n, n_is;
	struct q q;
	int rc = -1;

	if (across(r, p, id, &share, e) || read_counted(r, p->table_id, &was, &n, e) || cut_short(r, id, share, e) || whole_batches(r, p->table_id, e) ||
		read_counted(r, p->table_id, &is, &n_is, e))
		goto out;
	assert(n == n_is);
	total = p->batches + p->repeats + share;
	for (size_t i = 0; i < n; i++)
		if (take_back(r, p->table_id, total, &was[i], &is[i], e))
			goto out;
	if (q_begin(&q, r->db, "UPDATE tbl SET reread = reread + ? WHERE id = ?", e))
		goto out;
	q_i64(&q, total);
	q_i64(&q, p->table_id);
	rc = q_run(&q, e);
out:
	free(was);
	free(is);
	return rc;
}

static int go_back(struct rewind *r, struct err *e)
{
	struct q q;

	if (q_begin(&q, r->db, "DELETE FROM dropped WHERE partition = ? AND offset >= ?", e))
		return -1;
	q_i64(&q, r->partition);
	q_i64(&q, r->to);
	if (q_run(&q, e) || q_begin(&q, r->db, "DELETE FROM cursor WHERE partition = ? AND next_offset > ?", e))
		return -1;
	q_i64(&q, r->partition);
	q_i64(&q, r->to);
	if (q_run(&q, e) || q_begin(&q, r->db, "UPDATE position SET read_from = ? WHERE partition = ?", e))
		return -1;
	q_i64(&q, r->to);
	q_i64(&q, r->partition);
	return q_run(&q, e);
}

int db_rewind(struct db *db, uint32_t partition, uint64_t to, const struct tally_part *reread, size_t n, struct err *e)
{
	struct rewind r = {.db = db, .partition = partition, .to = (int64_t)to};
	int64_t position, trimmed;
	struct q q;
	int rc = -1;

	if (q_begin(&q, db,
		    "SELECT (SELECT read_from FROM position WHERE partition = ?1), coalesce((SELECT tallied_to FROM trimmed WHERE partition = ?1), 0)", e))
		return -1;
	q_i64(&q, partition);
	rc = q_row(&q, e);
	position = rc == 1 ? q_get_i64(&q) : 0;
	trimmed = rc == 1 ? q_get_i64(&q) : 0;
	q_end(&q);
	if (rc < 0)
		return -1;
	if ((int64_t)to > position || (int64_t)to < trimmed)
		return err_set(e, ERR_STATE, "partition %" PRIu32 " is committed to offset %" PRId64 " and trimmed to %" PRId64 ": no rewind to %" PRIu64, partition,
			position, trimmed, to);
	rc = gather(&r, reread, n, e);
	for (size_t i = 0; i < r.n && !rc; i++)
		rc = rewind_table(&r, &r.parts[i], e);
	if (!rc)
		rc = go_back(&r, e);
	free(r.parts);
	return rc;
}
