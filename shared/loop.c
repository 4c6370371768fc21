/*
 * loop.c - epoll around callbacks. Timers are a list sorted by deadline (a loop has a handful of them); a child is watched through its
 * pidfd, as any descriptor.
 *
 * What can go wrong: a callback removes a descriptor whose event lies further down in the same epoll batch, so removed entries are only
 * marked and freed after the batch; a timer that sets itself again in the past must not starve the descriptors, so a round fires only
 * timers that were there when it began.
 */
#include "loop.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include "xalloc.h"

#define BATCH 64

struct loop_io {
	LIST_ENTRY(loop_io) link;
	int fd;
	bool dead;
	loop_io_fn *fn;
	void *arg;
};

struct loop_timer {
	TAILQ_ENTRY(loop_timer) link;
	int64_t deadline;
	uint64_t number; /* rising; says which timers are older than a round */
	loop_timer_fn *fn;
	void *arg;
};

struct loop {
	int epfd, wakefd;
	atomic_bool stop;
	bool in_batch;
	uint64_t timers_made;
	struct loop_timer *firing;
	LIST_HEAD(, loop_io) live, dead;
	TAILQ_HEAD(timer_list, loop_timer) timers;
};

static int64_t mono_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static uint32_t to_epoll(unsigned events)
{
	uint32_t v = 0;

	if (events & LOOP_READ)
		v |= EPOLLIN | EPOLLRDHUP;
	if (events & LOOP_WRITE)
		v |= EPOLLOUT;
	return v;
}

static unsigned from_epoll(uint32_t v)
{
	unsigned events = 0;

	if (v & (EPOLLIN | EPOLLRDHUP))
		events |= LOOP_READ;
	if (v & EPOLLOUT)
		events |= LOOP_WRITE;
	if (v & (EPOLLHUP | EPOLLERR))
		events |= LOOP_HUP;
	return events;
}

static void free_dead(struct loop *l)
{
	struct loop_io *io;

	while ((io = LIST_FIRST(&l->dead))) {
		LIST_REMOVE(io, link);
		free(io);
	}
}

struct loop *loop_new(struct err *e)
{
	struct loop *l = xcalloc(1, sizeof(*l));
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};

	LIST_INIT(&l->live);
	LIST_INIT(&l->dead);
	TAILQ_INIT(&l->timers);
	l->epfd = epoll_create1(EPOLL_CLOEXEC);
	l->wakefd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (l->epfd < 0 || l->wakefd < 0 || epoll_ctl(l->epfd, EPOLL_CTL_ADD, l->wakefd, &ev)) {
		err_errno(e, errno, "cannot make an event loop");
		loop_free(l);
		return NULL;
	}
	return l;
}

void loop_free(struct loop *l)
{
	struct loop_io *io;
	struct loop_timer *t;

	if (!l)
		return;
	assert(!l->in_batch && !l->firing);
	free_dead(l);
	while ((io = LIST_FIRST(&l->live))) {
		LIST_REMOVE(io, link);
		free(io);
	}
	while ((t = TAILQ_FIRST(&l->timers))) {
		TAILQ_REMOVE(&l->timers, t, link);
		free(t);
	}
	if (l->epfd >= 0)
		close(l->epfd);
	if (l->wakefd >= 0)
		close(l->wakefd);
	free(l);
}

struct loop_io *loop_add(struct loop *l, int fd, unsigned events, loop_io_fn *fn, void *arg, struct err *e)
{
	struct loop_io *io = xcalloc(1, sizeof(*io));
	struct epoll_event ev = {.events = to_epoll(events), .data.ptr = io};

	io->fd = fd;
	io->fn = fn;
	io->arg = arg;
	if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &ev)) {
		err_errno(e, errno, "cannot watch descriptor %d", fd);
		free(io);
		return NULL;
	}
	LIST_INSERT_HEAD(&l->live, io, link);
	return io;
}

int loop_change(struct loop *l, struct loop_io *io, unsigned events, struct err *e)
{
	struct epoll_event ev = {.events = to_epoll(events), .data.ptr = io};

	if (epoll_ctl(l->epfd, EPOLL_CTL_MOD, io->fd, &ev))
		return err_errno(e, errno, "cannot watch descriptor %d", io->fd);
	return 0;
}

void loop_del(struct loop *l, struct loop_io *io)
{
	struct epoll_event ev = {.events = 0};

	if (!io)
		return;
	assert(!io->dead);
	/* fails only when the caller closed fd too early, which removed it as well */
	epoll_ctl(l->epfd, EPOLL_CTL_DEL, io->fd, &ev);
	LIST_REMOVE(io, link);
	io->dead = true;
	LIST_INSERT_HEAD(&l->dead, io, link);
	if (!l->in_batch)
		free_dead(l);
}

struct loop_timer *loop_timer(struct loop *l, int64_t deadline_mono, loop_timer_fn *fn, void *arg)
{
	struct loop_timer *t = xcalloc(1, sizeof(*t)), *at;

	t->deadline = deadline_mono;
	t->number = ++l->timers_made;
	t->fn = fn;
	t->arg = arg;
	/* new timers mostly lie behind all others */
	TAILQ_FOREACH_REVERSE(at, &l->timers, timer_list, link)
		if (at->deadline <= deadline_mono)
			break;
	if (at)
		TAILQ_INSERT_AFTER(&l->timers, at, t, link);
	else
		TAILQ_INSERT_HEAD(&l->timers, t, link);
	return t;
}

void loop_timer_del(struct loop *l, struct loop_timer *t)
{
	if (!t || t == l->firing)
		return;
	TAILQ_REMOVE(&l->timers, t, link);
	free(t);
}

static struct loop_timer *due(struct loop *l, int64_t now, uint64_t made_before)
{
	struct loop_timer *t;

	TAILQ_FOREACH(t, &l->timers, link) {
		if (t->deadline > now)
			return NULL;
		if (t->number <= made_before)
			return t;
	}
	return NULL;
}

static void fire_timers(struct loop *l)
{
	int64_t now = mono_now();
	uint64_t made = l->timers_made;
	struct loop_timer *t;

	while ((t = due(l, now, made))) {
		TAILQ_REMOVE(&l->timers, t, link);
		l->firing = t;
		t->fn(l, t->arg);
		l->firing = NULL;
		free(t);
	}
}

static int wait_ms(struct loop *l, int64_t deadline)
{
	struct loop_timer *t = TAILQ_FIRST(&l->timers);
	int64_t now, ms;

	if (t && t->deadline < deadline)
		deadline = t->deadline;
	if (deadline == NEVER)
		return -1;
	now = mono_now();
	if (deadline <= now)
		return 0;
	/* rounded up, or the last millisecond would be spent spinning */
	ms = (deadline - now + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;
	return ms > 60000 ? 60000 : (int)ms;
}

void loop_once(struct loop *l, int64_t deadline_mono)
{
	struct epoll_event ev[BATCH];
	eventfd_t v;
	int n;

	n = epoll_wait(l->epfd, ev, BATCH, wait_ms(l, deadline_mono));
	assert(n >= 0 || errno == EINTR);
	l->in_batch = true;
	for (int k = 0; k < n; k++) {
		struct loop_io *io = ev[k].data.ptr;

		if (!io) {
			if (eventfd_read(l->wakefd, &v) != 0) {
				/* read already: nothing to do */
			}
		} else if (!io->dead) {
			io->fn(l, io->fd, from_epoll(ev[k].events), io->arg);
		}
	}
	l->in_batch = false;
	free_dead(l);
	fire_timers(l);
}

void loop_run(struct loop *l)
{
	while (!atomic_load(&l->stop))
		loop_once(l, NEVER);
	atomic_store(&l->stop, false);
}

void loop_stop(struct loop *l)
{
	atomic_store(&l->stop, true);
	loop_wake(l);
}

void loop_wake(struct loop *l)
{
	if (eventfd_write(l->wakefd, 1) != 0) {
		/* at its maximum: it is readable already */
	}
}
