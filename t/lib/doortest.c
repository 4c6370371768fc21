/*
 * doortest.c - see doortest.h. The queue's thread says when it rests, so that a test that holds it up knows that nothing more is taken.
 */
#include "doortest.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "daemon/state/seal.h"


struct queue *queue;
struct state *state;
struct import *door;
char *state_dir, *queue_dir;
static _Atomic bool held, resting, ended; /* the queue's thread */
static pthread_t writer;
unsigned port;

static void *write_queue(void *arg)
{
	(void)arg;
	while (!atomic_load(&ended)) {
		int64_t next = NEVER;

		atomic_store(&resting, false);
		if (atomic_load(&held))
			atomic_store(&resting, true);
		else
			next = queue_step(queue, now_get());
		if (next == NEVER)
			usleep(500);
	}
	return NULL;
}

/* From here on it takes nothing. */
void hold_queue(void)
{
	atomic_store(&held, true);
	while (!atomic_load(&resting))
		usleep(500);
}

void release_queue(void)
{
	atomic_store(&held, false);
}

void open_queue(size_t mailbox)
{
	char *url = xasprintf("log:%s", queue_dir);
	struct queue_config c = {.url = url, .segment_bytes = 4u << 20, .spare_segments = 1, .mailbox_count = mailbox, .mailbox_bytes = 8u << 20};
	struct err e = ERR_INIT;

	queue = queue_open(&c, &e);
	free(url);
	if (!queue)
		bail("%s", e.text);
	atomic_store(&held, false);
	atomic_store(&ended, false);
	pthread_create(&writer, NULL, write_queue, NULL);
}

uint64_t reserve;

void open_door(unsigned threads, unsigned connections, int64_t timeout)
{
	char *port_file = xasprintf("%s/http.port", state_dir);
	struct import_config c = {.listen = "127.0.0.1:0", .port_file = port_file, .threads = threads, .connections_max = connections, .body_max = BODY_MAX,
		.bodies_max = 2 * BODY_MAX, .request_timeout = timeout, .state_dir = state_dir, .run_id = "test", .reserve_bytes = reserve};
	struct err e = ERR_INIT;

	door = import_new(&c, queue, state, &e);
	if (!door || import_start(door, &e))
		bail("%s", e.text);
	port = import_port(door);
	free(port_file);
}

void close_door(void)
{
	release_queue();
	import_drain(door, now_get().mono + 20 * NSEC_PER_SEC);
	atomic_store(&ended, true);
	pthread_join(writer, NULL);
	queue_stop(queue);
	import_free(door);
	queue_close(queue);
}

struct source sources[] = {{"shop", "at_good", false, false, 0, "{}"}, {"old", "at_paused", true, false, 0, "{}"}, {"gone", "at_deleted", false, true, 0, "{}"},
	{"mart", "at_mart", false, false, 0, "{}"}, {"held", "at_held", true, false, 0, "{\"when_paused\":\"hold\"}"},
	{"slow", "at_slow", false, false, 0, "{\"rate_limit\":\"2\"}"}};

static int make_source(struct db *db, void *arg, struct err *e)
{
	struct source *s = arg;
	struct source_row row = {.client_id = 1, .name = xstrdup(s->name), .kind = xstrdup("import"), .settings = xstrdup(s->settings), .created = 1};
	struct pause_row pause = {.kind = PAUSE_SOURCE, .who = xstrdup("test"), .reason = xstrdup(""), .since = 1};
	unsigned char hash[32];
	int64_t id;
	int rc = db_source_create(db, &row, &s->id, e);

	seal_hash_token(str_c(s->token), hash);
	pause.object_id = s->id;
	rc = rc || db_token_create(db, s->id, hash, "at_", 1, &id, e) || (s->paused && db_pause_set(db, &pause, e)) ||
		(s->deleted && db_source_delete(db, s->id, 2, e));
	source_row_free(&row);
	free(pause.who);
	free(pause.reason);
	return rc ? -1 : 0;
}

int pause_shop(struct db *db, void *arg, struct err *e)
{
	struct pause_row pause = {.kind = PAUSE_SOURCE, .object_id = sources[0].id, .who = xstrdup("test"), .reason = xstrdup(""), .since = 1};
	int rc = arg ? db_pause_set(db, &pause, e) : db_pause_clear(db, PAUSE_SOURCE, sources[0].id, e);

	free(pause.who);
	free(pause.reason);
	return rc;
}

void change(int (*fn)(struct db *db, void *arg, struct err *e), void *arg)
{
	struct err e = ERR_INIT;

	if (state_call(state, fn, arg, &e))
		bail("%s", e.text);
}

/* Records in the queue of this table from offset `from` on. */
uint64_t stored(const char *table, uint64_t from)
{
	struct queue_reader *r = queue_reader_open(queue, 0, from, NULL);
	struct qrec q;
	uint64_t n = 0, offset;

	while (r && queue_read(r, &q, &offset, NULL) == 1)
		n += str_eqc(q.table, table) ? q.records : 0;
	queue_reader_close(r);
	return n;
}

bool wait_until(bool (*fn)(void))
{
	int64_t end = now_get().mono + 60 * NSEC_PER_SEC;

	while (!fn() && now_get().mono < end)
		usleep(2000);
	return fn();
}

bool answers(struct http *h, unsigned status, const char *body, const char *what)
{
	return ok(h->status == status && strcmp(buf_cstr(&h->body), body) == 0 && http_has(h, "Content-Type: application/json"), "%s", what) ||
		(diag("wanted %u %s", status, body), diag("seen   %u %s", h->status, buf_cstr(&h->body)), false);
}

void world_begin(const char *name)
{
	char *log = xasprintf("%s-log", name);
	struct err e = ERR_INIT;

	log_setup(LOG_LVL_ERR, LOG_FMT_TEXT);
	state_dir = qtest_dir(name);
	queue_dir = qtest_dir(log);
	free(log);
	state = state_open(state_dir, &e);
	if (!state || stage_start(state_stage(state), &e))
		bail("%s", e.text);
	for (size_t i = 0; i < ARRAY_LEN(sources); i++)
		change(make_source, &sources[i]);
}

void world_end(void)
{
	stage_stop(state_stage(state));
	state_close(state);
	qtest_remove(queue_dir);
	qtest_remove(state_dir);
	free(queue_dir);
	free(state_dir);
}
