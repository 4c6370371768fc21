/*
 * statedriver.c - puts state.db under load on a disk that a test takes away, and says whether an acknowledged transaction is missing (t/lib/log-faults.sh runs it).
 *   statedriver run DIR JOURNAL MS RUN   transactions from several sides, a reader that holds the log back; ends by itself after MS or is killed
 *   statedriver drain DIR JOURNAL RUN    a start on the healed disk: 12 new transactions, all is listed, then deleted
 *   statedriver check JOURNAL            compares; exit 1 and a line for each difference
 * When the state breaks, all of it is closed and opened cold, as stitchd does by executing itself anew. The journal lies on a good disk. Its lines: A seed = acknowledged;
 * N run = a run begins; P = the power is about to be cut, what is acknowledged in this run from here on does not count; L = a list begins; S seed = in it; X = damage; C run = the list is over, and all of it deleted by a transaction that was acknowledged. A row is known by its seed
 * (run * 1000000 + n); its text follows from the seed, and every transaction also rewrites one row that they share.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/core/crashpoint.h"
#include "daemon/core/now.h"
#include "daemon/state/state_priv.h"
#include "file.h"
#include "log.h"
#include "xalloc.h"

#define IN_FLIGHT 12
#define CHECKPOINT (256 << 10)

struct driver {
	const char *dir;
	int journal;
	unsigned run, seed, dice;
	struct state *s;
	_Atomic int flying;
	_Atomic bool over;
};

struct row {
	struct state_tx tx;
	struct driver *d;
	unsigned seed;
};

static void fail(const char *what, const struct err *e)
{
	fprintf(stderr, "statedriver: %s: %s\n", what, e->text);
	exit(3);
}

static unsigned roll(unsigned *dice, unsigned below)
{
	*dice = *dice * 1103515245u + 12345;
	return (*dice >> 8) % below;
}

static void say(struct driver *d, const char *line, unsigned seed)
{
	char text[100];
	int n = snprintf(text, sizeof(text), "%s %u\n", line, seed);

	if (write(d->journal, text, (size_t)n) != n)
		abort();
}

static char *text_of(unsigned seed)
{
	size_t n = 20 + seed * 2654435761u % 9000;
	char *t = xmalloc(n + 1);

	for (size_t i = 0; i < n; i++)
		t[i] = (char)('a' + (seed + i * 7) % 26);
	t[n] = '\0';
	return t;
}

/* --- load --- */

static int shared_row(struct db *db, unsigned seed, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "INSERT OR REPLACE INTO meta VALUES ('driver', ?)", e))
		return -1;
	q_blob(&q, &seed, sizeof(seed));
	return q_run(&q, e);
}

static int run_row(struct db *db, struct state_tx *tx, struct err *e)
{
	struct row *r = container_of(tx, struct row, tx);
	char *text = text_of(r->seed);
	struct event_row ev = {.at = r->seed, .text = text};
	int rc = db_event_add(db, &ev, e);

	free(text);
	return rc ? rc : shared_row(db, r->seed, e);
}

static void done(struct state_tx *tx)
{
	struct row *r = container_of(tx, struct row, tx);

	if (tx->err.code == ERR_NONE)
		say(r->d, "A", r->seed);
	atomic_fetch_sub(&r->d->flying, 1);
	free(r);
}

static bool put(struct driver *d)
{
	struct row *r = xcalloc(1, sizeof(*r));

	*r = (struct row){.tx = {.run = run_row, .done = done}, .d = d, .seed = d->run * 1000000 + d->seed++};
	atomic_fetch_add(&d->flying, 1);
	if (!state_submit(d->s, &r->tx))
		return true;
	atomic_fetch_sub(&d->flying, 1);
	free(r);
	return false;
}

/* Holds a snapshot for a while, again and again, so that checkpoints stay partial. */
static void *reader(void *arg)
{
	struct driver *d = arg;
	struct err e = ERR_INIT;
	struct db *db = state_reader(d->s, &e);
	unsigned dice = d->run;
	struct q q;

	while (db && !atomic_load(&d->over) && !state_broken(d->s)) {
		if (q_begin(&q, db, "SELECT text FROM event ORDER BY id DESC", &e) || q_row(&q, &e) < 0)
			break; /* the disk was taken away */
		usleep(roll(&dice, 4) ? roll(&dice, 20000) : roll(&dice, 200000));
		q_end(&q);
		usleep(roll(&dice, 20000));
	}
	state_reader_close(db);
	return NULL;
}

static int open_state(struct driver *d, struct err *e)
{
	d->s = state_open(d->dir, e);
	if (!d->s)
		return -1;
	d->s->checkpoint_bytes = d->s->checkpoint_at = CHECKPOINT;
	d->s->checkpoint_at /= d->s->page_size;
	return stage_start(state_stage(d->s), e);
}

/* A quick machine must not fill the disk with rows alone: then the end of the round, which deletes them, would have no room either. */
static bool has_room(const struct driver *d)
{
	uint64_t disk_free, disk_total;
	struct err e = ERR_INIT;
	char path[4096];
	struct stat st;

	snprintf(path, sizeof(path), "%s/state.db", d->dir);
	return stat(path, &st) || file_disk_free(d->dir, &disk_free, &disk_total, &e) || (uint64_t)st.st_size < disk_total / 3;
}

/* Until the state breaks or the time is over. */
static void load(struct driver *d, int64_t end)
{
	pthread_t t;

	atomic_store(&d->over, false);
	pthread_create(&t, NULL, reader, d);
	while (now_get().mono < end && !state_broken(d->s)) {
		if (d->seed % 64 == 0 && !has_room(d))
			usleep(1000);
		else if (atomic_load(&d->flying) >= IN_FLIGHT || !put(d))
			usleep(200);
		if (roll(&d->dice, 50) == 0)
			usleep(2000);
	}
	atomic_store(&d->over, true);
	pthread_join(t, NULL);
	stage_stop(state_stage(d->s));
	state_close(d->s);
}

static void run(struct driver *d, int64_t ms)
{
	int64_t end = now_get().mono + ms * NSEC_PER_MSEC;
	struct err e = ERR_INIT;

	while (now_get().mono < end) {
		if (open_state(d, &e) == 0)
			load(d, end);
		else
			usleep(20000);
	}
}

/* --- the end of a round --- */

static int list_all(struct driver *d, struct db *db, struct err *e)
{
	struct q q;
	int rc;

	if (q_begin(&q, db, "SELECT at, text FROM event ORDER BY at", e))
		return -1;
	while ((rc = q_row(&q, e)) == 1) {
		unsigned seed = (unsigned)q_get_i64(&q);
		char *is = q_get_text(&q), *ought = text_of(seed);

		say(d, strcmp(is, ought) == 0 ? "S" : "X another text:", seed);
		free(is);
		free(ought);
	}
	return rc;
}

static int whole(struct db *db, struct err *e)
{
	struct q q;
	char answer[200] = "";

	if (q_begin(&q, db, "PRAGMA integrity_check", e) || q_row(&q, e) < 0)
		return -1;
	q_get_fixed(&q, answer, sizeof(answer));
	q_end(&q);
	return strcmp(answer, "ok") == 0 ? 0 : err_set(e, ERR_CORRUPT, "integrity_check: %s", answer);
}

static int delete_all(struct db *db, void *arg, struct err *e)
{
	(void)arg;
	return db_exec(db, "DELETE FROM event", e);
}

static void drain(struct driver *d)
{
	struct err e = ERR_INIT;
	struct db *db;

	if (open_state(d, &e))
		fail("open", &e);
	for (unsigned i = 0; i < 12; i++) {
		if (!put(d))
			fail("put", &e);
		while (atomic_load(&d->flying))
			usleep(100);
	}
	db = state_reader(d->s, &e);
	say(d, "L", 0);
	if (!db || whole(db, &e) || list_all(d, db, &e))
		fail("list", &e);
	state_reader_close(db);
	if (state_call(d->s, delete_all, NULL, &e))
		fail("delete", &e);
	say(d, "C", d->run);
	stage_stop(state_stage(d->s));
	state_close(d->s);
}

/* --- the check --- */

struct seeds {
	unsigned *s;
	size_t n, cap;
};

static void add(struct seeds *l, unsigned seed)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 1024;
		l->s = xreallocarray(l->s, l->cap, sizeof(*l->s));
	}
	l->s[l->n++] = seed;
}

static int by_value(const void *a, const void *b)
{
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

	return x < y ? -1 : x > y;
}

struct history {
	struct seeds acked, listed, late;
	size_t total, late_lost, lost, twice, back, bad;
	unsigned cleared; /* rows of runs up to this one are deleted */
};

/* A list is over: all that was acknowledged since the last one is in it, once, and nothing that was deleted. */
static void compare(struct history *h, unsigned run)
{
	qsort(h->listed.s, h->listed.n, sizeof(unsigned), by_value);
	for (size_t i = 0; i < h->listed.n; i++) {
		h->twice += i && h->listed.s[i] == h->listed.s[i - 1];
		h->back += h->listed.s[i] / 1000000 <= h->cleared;
	}
	for (size_t i = 0; i < h->acked.n; i++) {
		if (bsearch(&h->acked.s[i], h->listed.s, h->listed.n, sizeof(unsigned), by_value))
			continue;
		if (h->lost++ < 40)
			printf("lost: %u\n", h->acked.s[i]);
	}
	for (size_t i = 0; i < h->late.n; i++)
		h->late_lost += !bsearch(&h->late.s[i], h->listed.s, h->listed.n, sizeof(unsigned), by_value);
	h->total += h->acked.n;
	h->acked.n = h->listed.n = h->late.n = 0;
	h->cleared = run;
}

static int check(const char *path)
{
	struct history h = {.total = 0};
	FILE *f = fopen(path, "r");
	char line[512];
	bool cut = false;
	unsigned v;

	if (!f)
		return 3;
	while (fgets(line, sizeof(line), f)) {
		if (*line == 'N' || *line == 'P')
			cut = *line == 'P';
		else if (sscanf(line, "A %u", &v) == 1)
			add(cut ? &h.late : &h.acked, v);
		else if (*line == 'L')
			h.listed.n = 0;
		else if (sscanf(line, "S %u", &v) == 1)
			add(&h.listed, v);
		else if (sscanf(line, "C %u", &v) == 1)
			compare(&h, v);
		else if (h.bad++ < 40)
			printf("%s", line);
	}
	fclose(f);
	printf("acknowledged %zu lost %zu twice %zu back %zu damaged %zu open %zu (after the cut: %zu)\n", h.total, h.lost, h.twice, h.back, h.bad, h.acked.n,
		h.late_lost);
	free(h.acked.s);
	free(h.listed.s);
	free(h.late.s);
	return h.lost || h.twice || h.back || h.bad || h.acked.n;
}

static unsigned number(const char *s)
{
	uint64_t v = 0;

	if (str_to_u64(str_c(s), &v))
		exit(2);
	return (unsigned)v;
}

int main(int argc, char **argv)
{
	struct driver d = {.journal = -1};
	const char *mode = argc > 1 ? argv[1] : "";

	if (strcmp(mode, "check") == 0 && argc == 3)
		return check(argv[2]);
	if (!(strcmp(mode, "run") == 0 && argc == 6) && !(strcmp(mode, "drain") == 0 && argc == 5)) {
		fprintf(stderr, "usage: statedriver run DIR JOURNAL MS RUN | drain DIR JOURNAL RUN | check JOURNAL\n");
		return 2;
	}
	log_setup(LOG_LVL_ERR, LOG_FMT_TEXT);
	crashpoint_setup();
	d.dir = argv[2];
	d.journal = open(argv[3], O_WRONLY | O_CREAT | O_APPEND, 0600);
	d.run = number(argv[argc - 1]);
	d.dice = d.run * 7919u + 1;
	say(&d, "N", d.run);
	if (*mode == 'r')
		run(&d, number(argv[4]));
	else
		drain(&d);
	return 0;
}
