/*
 * metrics.h - counters and gauges for /metrics and the status method. One writer each (or atomic add from several); readers any.
 * All are in one struct, so that nothing registers anything at run time.
 */
#ifndef STITCH_METRICS_H
#define STITCH_METRICS_H

#include <stdatomic.h>

#include "base.h"
#include "buf.h"

/* X(name, "counter"|"gauge", help) - exported as stitch_<name> */
#define METRICS(X)                                                                                                             \
	X(import_requests_total, "counter", "HTTP requests taken by the door")                                                 \
	X(import_records_total, "counter", "Records accepted (answered 2xx)")                                                  \
	X(import_bytes_total, "counter", "Body bytes of accepted requests")                                                    \
	X(import_refused_total, "counter", "Requests answered 4xx")                                                            \
	X(import_unavailable_total, "counter", "Requests answered 503")                                                        \
	X(import_patterns_ignored_total, "counter", "Patterns of JSON schemas that are not understood and so not checked")     \
	X(import_connections, "gauge", "Open HTTP connections")                                                                \
	X(import_body_bytes, "gauge", "Bytes of request bodies in memory")                                                     \
	X(queue_appends_total, "counter", "Groups appended")                                                                   \
	X(queue_records_total, "counter", "Queue records appended")                                                            \
	X(queue_bytes, "gauge", "Bytes of the queue on disk")                                                                  \
	X(queue_segments, "gauge", "Segment files of the queue")                                                               \
	X(queue_sealed_total, "counter", "Segments sealed by an error")                                                        \
	X(queue_sync_ns_total, "counter", "Nanoseconds spent in syncs of the log")                                             \
	X(queue_local_bytes, "gauge", "Bytes of requests in the local spool")                                                  \
	X(queue_local_requests, "gauge", "Requests in the local spool")                                                        \
	X(queue_local_total, "counter", "Requests that went to the local spool (answered 202)")                                \
	X(stream_records_total, "counter", "Records read by the streamery")                                                    \
	X(stream_open_batches, "gauge", "Open batches")                                                                        \
	X(stream_open_bytes, "gauge", "Bytes in open batches and uploads")                                                     \
	X(stream_uploads, "gauge", "Batches on their way to the store")                                                        \
	X(stream_repeats_total, "counter", "Repeated requests dropped")                                                        \
	X(cuts_total, "counter", "Batches cut")                                                                                \
	X(store_bytes_total, "counter", "Bytes written to the store")                                                          \
	X(store_errors_total, "counter", "Failed store operations")                                                            \
	X(state_commits_total, "counter", "Transactions of state.db")                                                          \
	X(state_errors_total, "counter", "Failed transactions of state.db")                                                    \
	X(loads_total, "counter", "Loads that ended well")                                                                     \
	X(load_failures_total, "counter", "Loads that failed")                                                                 \
	X(loaded_records_total, "counter", "Records loaded (all destinations)")                                                \
	X(rejected_records_total, "counter", "Records rejected (all destinations)")                                            \
	X(loaders_running, "gauge", "Loader processes")                                                                        \
	X(disk_free_bytes, "gauge", "Free bytes under the state folder")                                                       \
	X(ledger_difference, "gauge", "accepted minus (queued + spooled + loaded + rejected + discarded); must be 0")

struct metrics {
#define X(name, type, help) _Atomic int64_t name;
	METRICS(X)
#undef X
};
extern struct metrics metrics;

#define metric_add(name, n) atomic_fetch_add_explicit(&metrics.name, (n), memory_order_relaxed)
#define metric_set(name, n) atomic_store_explicit(&metrics.name, (n), memory_order_relaxed)
#define metric_get(name) atomic_load_explicit(&metrics.name, memory_order_relaxed)

void metrics_prometheus(struct buf *out);

#endif
