/*
 * queue_ops.h - the vtable, seen only by the .c files of queue/. A backend embeds struct queue first.
 */
#ifndef STITCH_QUEUE_OPS_H
#define STITCH_QUEUE_OPS_H

#include "daemon/queue/queue.h"

struct queue_ops {
	const char *scheme; /* "log" */
	struct queue *(*open)(const struct queue_config *c, const char *rest_of_url, struct err *e);
	int (*start)(struct queue *q, struct err *e);
	int64_t (*step)(struct queue *q, struct now now);
	int (*put)(struct queue *q, struct queue_put *p, struct err *e);
	void (*stop)(struct queue *q);
	void (*close)(struct queue *q);
	uint64_t (*begin)(const struct queue *q, uint32_t partition);
	uint64_t (*end)(const struct queue *q, uint32_t partition);
	bool (*writable)(const struct queue *q, struct err *why);
	struct queue_reader *(*reader)(struct queue *q, uint32_t partition, uint64_t from, struct err *e);
	int (*read)(struct queue_reader *r, struct qrec *out, uint64_t *offset, struct err *e);
	int (*seek)(struct queue_reader *r, uint64_t to, struct err *e);
	void (*reader_close)(struct queue_reader *r);
	int (*tally)(struct queue *q, uint32_t partition, uint64_t from, uint64_t to, queue_tally_fn *fn, void *arg, struct err *e);
	uint64_t (*trim_point)(struct queue *q, uint32_t partition, uint64_t below);
	void (*oldest)(struct queue *q, uint32_t partition, int64_t *newest_received, uint64_t *end_offset, uint64_t *bytes_total);
	int (*trim)(struct queue *q, uint32_t partition, uint64_t below, struct err *e);
	void (*stats)(struct queue *q, struct queue_stats *out);
};

struct queue {
	const struct queue_ops *ops;
	unsigned char id[QUEUE_ID_LEN];
	unsigned partitions;
	void (*on_durable)(void *arg);
	void *on_durable_arg;
};

/* A backend's reader embeds this first. */
struct queue_reader {
	struct queue *queue;
	uint32_t partition;
};

extern const struct queue_ops queue_log_ops, queue_mem_ops;

#endif
