/*
 * loop.h - epoll with timers and child watching, for main and control. One thread owns a loop; only loop_wake may be called from
 * others. Callbacks may add and remove anything, themselves too.
 */
#ifndef STITCH_LOOP_H
#define STITCH_LOOP_H

#include "base.h"
#include "err.h"

struct loop;
struct loop_io;
struct loop_timer;

enum { LOOP_READ = 1, LOOP_WRITE = 2, LOOP_HUP = 4 };
typedef void loop_io_fn(struct loop *l, int fd, unsigned events, void *arg);
typedef void loop_timer_fn(struct loop *l, void *arg);

struct loop *loop_new(struct err *e) MUST_CHECK;
void loop_free(struct loop *l);
struct loop_io *loop_add(struct loop *l, int fd, unsigned events, loop_io_fn *fn, void *arg, struct err *e) MUST_CHECK; /* fd stays the caller's */
int loop_change(struct loop *l, struct loop_io *io, unsigned events, struct err *e) MUST_CHECK;
void loop_del(struct loop *l, struct loop_io *io); /* before the caller closes fd */
struct loop_timer *loop_timer(struct loop *l, int64_t deadline_mono, loop_timer_fn *fn, void *arg); /* fires once, then is gone */
void loop_timer_del(struct loop *l, struct loop_timer *t);
void loop_run(struct loop *l);				/* until loop_stop */
void loop_once(struct loop *l, int64_t deadline_mono);	/* one wait, then what is due */
void loop_stop(struct loop *l);
void loop_wake(struct loop *l);

#endif
