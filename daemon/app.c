/*
 * app.c - puts the parts together; the only place that knows them all. Each step of the start that fails undoes the ones before it by calling
 * app_stop, which takes any state of completeness.
 */
#include "daemon/app.h"

#include <errno.h>
#include <unistd.h>

#include "daemon/queue/queue_local.h"
#include "file.h"
#include "log.h"
#include "xalloc.h"

#define RATE_OVER (3 * NSEC_PER_SEC)

static void nap(int64_t ns)
{
	struct timespec ts = {.tv_sec = (time_t)(ns / NSEC_PER_SEC), .tv_nsec = (long)(ns % NSEC_PER_SEC)};

	nanosleep(&ts, NULL);
}

static void job_is_there(void *arg)
{
	struct app *a = arg;

	if (a->spool)
		spool_wake(a->spool);
}

static void loader_idle(void *arg, int64_t source_id, bool idle)
{
	struct app *a = arg;

	streamery_loader_idle(a->streamery, source_id, idle);
}

static int bind_queue(struct db *db, void *arg, struct err *e)
{
	return db_queue_bind(db, queue_id(arg), e);
}

static int open_local(struct app *a, struct err *e)
{
	char *dir = xasprintf("%s/local", a->config->state_dir);
	struct queue_local_config lc = {.dir = dir, .bytes_max = a->config->local_spool, .reserve_bytes = a->reserve, .patience = 5 * NSEC_PER_SEC};
	struct queue *q = queue_local_open(a->queue, &lc, e);

	free(dir);
	if (!q)
		return -1;
	a->queue = q;
	return 0;
}

static int open_queue(struct app *a, struct err *e)
{
	const struct config *c = a->config;
	struct queue_config qc = {
		.url = c->queue,
		.state_dir = c->state_dir,
		.segment_bytes = c->segment_bytes,
		.spare_segments = 2,
		.mailbox_count = 10000,
		.mailbox_bytes = c->memory_limit / 8,
		.reserve_bytes = a->reserve,
	};
	struct db *db = state_reader(a->state, e);
	int rc;

	if (!db)
		return -1;
	rc = db_queue_floor(db, NULL, &qc.first_offset, e);
	state_reader_close(db);
	if (rc)
		return err_wrap(e, "queue");
	a->queue = queue_open(&qc, e);
	if (!a->queue)
		return err_wrap(e, "queue %s", c->queue);
	if (c->local_spool && open_local(a, e))
		return -1;
	if (state_call(a->state, bind_queue, a->queue, e))
		return err_wrap(e, "queue %s", c->queue);
	return 0;
}

static int start_streamery(struct app *a, struct err *e)
{
	const struct config *c = a->config;
	struct streamery_config sc = {
		.batch_bytes = c->batch_bytes,
		.batch_age = c->batch_age,
		.memory_bytes = c->memory_limit / 8,
		.idle_cut_delay = c->idle_cut_delay,
		.uploads = 4,
		.run_id = a->run_id,
	};

	a->store_stage = store_stage_new(a->store);
	a->streamery = streamery_new(&sc, a->queue, 0, a->store_stage, a->state, e);
	if (!a->streamery)
		return err_wrap(e, "streamery");
	queue_on_durable(a->queue, streamery_wake, a->streamery);
	streamery_on_commit(a->streamery, job_is_there, a);
	return stage_start(store_stage_stage(a->store_stage), e);
}

static int start_spool(struct app *a, struct err *e)
{
	const struct config *c = a->config;
	struct spool_config sc = {
		.loaders_per_destination = (unsigned)c->loaders,
		.load_batches = 64,
		.load_bytes = c->load_bytes,
		.backoff_first = c->backoff_first,
		.backoff_max = c->backoff_max,
	};
	struct runner_config rc = {
		.libexec = c->libexec,
		.heartbeat = c->heartbeat,
		.open_timeout = 30 * NSEC_PER_SEC,
		.child_memory = UINT64_C(2) << 30,
	};

	a->spool_mailbox = mailbox_new(100000, 256u << 20);
	a->runner = runner_new(&rc, a->store, a->seal, a->spool_mailbox, e);
	if (!a->runner)
		return err_wrap(e, "loaders");
	a->spool = spool_new(&sc, a->state, a->spool_mailbox, e);
	if (!a->spool)
		return err_wrap(e, "spool");
	a->hooks = hooks_new(a->state, a->seal, MAX(10 * c->backoff_first, NSEC_PER_SEC));
	spool_set_port(a->spool, runner_port(a->runner));
	spool_on_idle(a->spool, loader_idle, a);
	return runner_start(a->runner, e);
}

static int start_retention(struct app *a, struct err *e)
{
	const struct config *c = a->config;
	struct retention_config rc = {
		.queue_keep = c->queue_keep,
		.batch_keep = c->batch_keep,
		.event_keep = c->event_keep,
		.audit_keep = c->audit_keep,
		.job_keep = c->job_keep,
		.reject_keep = c->reject_keep,
		.queue_keep_bytes = c->queue_keep_bytes,
		.batch_keep_bytes = c->batch_keep_bytes,
		.events_max = (uint64_t)c->events_max,
		.audit_max = (uint64_t)c->audit_max,
		.rejects_max = (uint64_t)c->rejects_max,
		.pressure_bytes = 2 * a->reserve,
		.state_dir = c->state_dir,
		.interval = c->retention_interval,
		.run_id = a->run_id,
	};

	a->retention = retention_new(&rc, a->queue, a->store, a->state, e);
	return a->retention ? stage_start(retention_stage(a->retention), e) : -1;
}

static int start_door(struct app *a, struct err *e)
{
	const struct config *c = a->config;
	char *port_file = xasprintf("%s/http.port", c->state_dir);
	struct import_config ic = {
		.listen = c->http,
		.listen_tls = c->https,
		.tls_cert = c->tls_cert,
		.tls_key = c->tls_key,
		.port_file = port_file,
		.threads = (unsigned)c->http_threads,
		.connections_max = (unsigned)c->connections_max,
		.connections_per_address = (unsigned)c->connections_per_address,
		.body_max = c->body_max,
		.bodies_max = MAX(c->memory_limit / 4, c->body_max),
		.request_timeout = c->request_timeout,
		.reserve_bytes = a->reserve,
		.state_dir = c->state_dir,
		.run_id = a->run_id,
		.seal = a->seal,
	};
	int rc = -1;

	a->import = import_new(&ic, a->queue, a->state, e);
	if (a->import)
		rc = import_start(a->import, e);
	free(port_file);
	return rc ? err_wrap(e, "http %s", c->http) : 0;
}

static int start_control(struct app *a, struct err *e)
{
	const struct config *c = a->config;
	struct control_config cc = {.socket = c->socket, .name = c->name, .state_dir = c->state_dir, .run_id = a->run_id, .reserve_bytes = a->reserve};
	struct control_parts p = {.state = a->state,
		.queue = a->queue,
		.store = a->store,
		.streamery = a->streamery,
		.spool = a->spool,
		.runner = a->runner,
		.import = a->import,
		.seal = a->seal};

	a->control = control_new(&cc, &p, e);
	return a->control ? control_start(a->control, e) : -1;
}

static int start_parts(struct app *a, struct err *e)
{
	const struct config *c = a->config;
	const struct store_keys keys = {c->store_access_key, c->store_secret_key, c->store_session_token};
	uint64_t disk_free, disk_total;

	if (file_mkdirs(c->state_dir, 0750, e) || file_disk_free(c->state_dir, &disk_free, &disk_total, e))
		return -1;
	if (file_in_memory(c->state_dir))
		log_warn("%s lies on a file system in memory: all of it is lost with the machine's power", c->state_dir);
	a->reserve = retention_reserve(c->reserve, disk_total);
	a->seal = seal_open(c->state_dir, e);
	if (!a->seal)
		return -1;
	a->state = state_open(c->state_dir, e);
	if (!a->state || stage_start(state_stage(a->state), e))
		return -1;
	a->store = store_open_keys(c->store, c->state_dir, &keys, e);
	if (!a->store)
		return err_wrap(e, "store %s", c->store);
	if (open_queue(a, e) || start_streamery(a, e) || start_spool(a, e))
		return -1;
	if (stage_start(spool_stage(a->spool), e) || stage_start(hooks_stage(a->hooks), e) || stage_start(streamery_stage(a->streamery), e) || queue_start(a->queue, e) ||
		start_retention(a, e))
		return -1;
	/* the door last: it must not take what nobody carries on */
	if (start_door(a, e))
		return -1;
	return start_control(a, e);
}

int app_start(struct app *a, const struct config *c, struct err *e)
{
	unsigned char r[4];

	memset(a, 0, sizeof(*a));
	a->config = c;
	random_bytes(r, sizeof(r));
	snprintf(a->run_id, sizeof(a->run_id), "%02x%02x%02x%02x", r[0], r[1], r[2], r[3]);
	if (start_parts(a, e)) {
		app_stop(a, now_get().mono + 5 * NSEC_PER_SEC);
		return -1;
	}
	job_is_there(a);
	return 0;
}

static void drain_streamery(struct app *a, int64_t deadline)
{
	streamery_drain(a->streamery);
	while (!streamery_drained(a->streamery) && !state_broken(a->state)) {
		if (now_get().mono > deadline) {
			log_warn("open batches were not cut in time; they are read again from the queue at the next start");
			break;
		}
		nap(5 * NSEC_PER_MSEC);
	}
}

static void drain_spool(struct app *a, int64_t deadline)
{
	spool_drain(a->spool);
	while (!spool_drained(a->spool) && !state_broken(a->state)) {
		if (now_get().mono > deadline) {
			log_warn("running loads did not end in time; they are done again at the next start");
			break;
		}
		nap(5 * NSEC_PER_MSEC);
	}
}

void app_stop(struct app *a, int64_t deadline)
{
	if (a->import)
		import_drain(a->import, deadline);
	if (a->queue)
		queue_stop(a->queue);
	if (a->streamery && streamery_stage(a->streamery)->running)
		drain_streamery(a, deadline);
	if (a->spool && spool_stage(a->spool)->running)
		drain_spool(a, deadline);
	if (a->hooks)
		hooks_cancel(a->hooks);
	if (a->control)
		control_stop(a->control);
	if (a->hooks)
		stage_stop(hooks_stage(a->hooks));
	if (a->retention)
		stage_stop(retention_stage(a->retention));
	if (a->streamery)
		stage_stop(streamery_stage(a->streamery));
	if (a->store_stage)
		stage_stop(store_stage_stage(a->store_stage));
	if (a->spool)
		stage_stop(spool_stage(a->spool));
	if (a->runner)
		runner_stop(a->runner, MAX(deadline, now_get().mono + NSEC_PER_SEC));
	if (a->state) {
		struct stage *st = state_stage(a->state);

		stage_stop(st);
		/* what still waits is answered while those who asked are there */
		while (st->ops->step(st->self, now_get()) != NEVER)
			;
	}
	control_free(a->control);
	import_free(a->import);
	retention_free(a->retention);
	spool_free(a->spool);
	hooks_free(a->hooks);
	runner_free(a->runner);
	mailbox_free(a->spool_mailbox); /* emptied by spool_free */
	streamery_free(a->streamery);
	store_stage_free(a->store_stage);
	if (a->queue)
		queue_close(a->queue);
	if (a->store)
		store_close(a->store);
	if (a->state)
		state_close(a->state);
	if (a->seal)
		seal_close(a->seal);
	memset(a, 0, sizeof(*a));
}

/* A put is nearly always one record of the queue, so its records are the measure of how fast the waiting ones come to their turn. */
static void tell_wait(struct app *a)
{
	int64_t now = now_get().mono;
	struct queue_stats q;

	if (a->seen_at && now - a->seen_at < RATE_OVER)
		return;
	queue_stats(a->queue, &q);
	if (a->seen_at)
		import_set_pressure(a->import, import_wait(q.waiting, q.records - a->seen_stored, now - a->seen_at), "");
	a->seen_at = now;
	a->seen_stored = q.records;
}

bool app_tick(struct app *a)
{
	tell_wait(a);
	return !state_broken(a->state);
}
