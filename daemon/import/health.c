/*
 * health.c - the answers that need no token: status, healthz (the process lives), readyz (it would take a request now), metrics. And the one rule
 * of when the door is shut: what the other stages told (import_set_pressure), free disk below the reserve, a queue or a state that cannot write.
 */
#include "daemon/core/metrics.h"
#include "daemon/import/import_priv.h"
#include "jwrite.h"
#include "version.h"

#define WAIT_MAX 60u /* s */

bool import_shut(struct import *im, struct err *why)
{
	bool told;

	if (atomic_load(&im->closing))
		return err_set(why, ERR_STATE, "Stopping; please send it again") != 0;
	if (atomic_load(&im->disk_low))
		return err_set(why, ERR_FULL, "The disk is full; please send it again later") != 0;
	if (state_broken(im->state))
		return err_set(why, ERR_IO, "Starting anew after a failed write; please send it again") != 0;
	if (!queue_writable(im->queue, why))
		return err_wrap(why, "The queue cannot write now") != 0;
	pthread_mutex_lock(&im->lock);
	told = im->why[0] != '\0';
	if (told)
		err_set(why, ERR_FULL, "%s", im->why);
	pthread_mutex_unlock(&im->lock);
	return told;
}

unsigned import_retry_after(struct import *im)
{
	unsigned s = atomic_load(atomic_load(&im->disk_low) ? &im->disk_wait : &im->retry_after);

	return MAX(s, 1);
}

unsigned import_wait(uint64_t waiting, uint64_t done, int64_t ns)
{
	uint64_t ms = (uint64_t)(ns / NSEC_PER_MSEC);

	if (!waiting)
		return 1;
	return done ? (unsigned)MIN(1 + waiting * ms / done / 1000, WAIT_MAX) : WAIT_MAX;
}

int refuse_busy(struct refusal *r, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return refuse_status(r, 503, "%s", text);
}

void health_answer(struct request *r)
{
	struct buf *out = &r->good;
	struct err why = ERR_INIT;
	struct jwrite w;

	if (r->route == ROUTE_METRICS) {
		metrics_prometheus(out);
		r->content_type = "text/plain; version=0.0.4; charset=utf-8";
		return;
	}
	if (r->route == ROUTE_READY && import_shut(r->w->im, &why)) {
		refuse_busy(&r->refusal, "%s", why.text);
		return;
	}
	jwrite_init(&w, out);
	jwrite_object(&w);
	if (r->route == ROUTE_STATUS) {
		jwrite_kv_string(&w, "name", "pipeline.gate");
		jwrite_kv_string(&w, "version", STITCH_VERSION);
		jwrite_kv_string(&w, "revision", STITCH_VERSION);
	}
	jwrite_kv_string(&w, "status", "OK");
	if (r->route == ROUTE_STATUS) {
		jwrite_key(&w, "reason");
		jwrite_null(&w);
	}
	jwrite_object_end(&w);
}
