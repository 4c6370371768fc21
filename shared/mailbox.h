/*
 * mailbox.h - how threads are joined: a queue of messages bounded by count and bytes. Many may put, one takes. A message put in
 * is gone: the mailbox, then the taker, owns it. Putting never waits: full is an answer (the door makes a 503 of it).
 * Threads: put, reply, wake from any; take, wait from the owner. A mailbox outlives its users.
 */
#ifndef STITCH_MAILBOX_H
#define STITCH_MAILBOX_H

#include "base.h"

/* Embedded in every message; container_of() gives the message back. kind is the receiver's own enum. */
struct msg {
	struct msg *next;
	size_t bytes; /* what it counts against the limit */
	int kind;
};

struct mailbox;

struct mailbox *mailbox_new(size_t max_count, size_t max_bytes) MUST_CHECK;
void mailbox_free(struct mailbox *mb); /* must be empty */
/* 0, or -1 when it is full or closed: the message stays the caller's. */
int mailbox_put(struct mailbox *mb, struct msg *m) MUST_CHECK;
/* For answers and control: never refused (their number is bounded by the requests under way), also when closed. */
void mailbox_reply(struct mailbox *mb, struct msg *m);
/* All that is there, up to the limits (at least one), oldest first, as a list by next; NULL when empty. Never waits. */
struct msg *mailbox_take(struct mailbox *mb, size_t max_count, size_t max_bytes) MUST_CHECK;
/* Wait until something is there, mailbox_wake() was called, or the monotonic deadline (ns) has passed. */
void mailbox_wait(struct mailbox *mb, int64_t deadline_mono);
void mailbox_wake(struct mailbox *mb);
void mailbox_close(struct mailbox *mb); /* puts are refused from now on */
/* An eventfd that is readable while something is there (for owners that sit in epoll); made on the first call, by the owner
 * before others put. Taking everything resets it. */
int mailbox_fd(struct mailbox *mb);
void mailbox_stats(struct mailbox *mb, size_t *count, size_t *bytes);

#endif
