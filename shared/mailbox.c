/*
 * mailbox.c - a list under one mutex with one condition variable (monotonic clock). The lock guards head, tail, count, bytes,
 * woken, closed and efd; nothing is called while it is held. The eventfd, if there is one, mirrors "not empty or woken".
 */
#include "mailbox.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "xalloc.h"

struct mailbox {
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t more;
	struct msg *head, **tail;
	size_t count, bytes, max_count, max_bytes;
	bool woken, closed;
	int efd;
};

struct mailbox *mailbox_new(size_t max_count, size_t max_bytes)
{
	struct mailbox *mb = xcalloc(1, sizeof(*mb));
	pthread_condattr_t a;

	pthread_mutex_init(&mb->lock, NULL);
	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(&mb->more, &a);
	pthread_condattr_destroy(&a);
	mb->tail = &mb->head;
	mb->max_count = max_count;
	mb->max_bytes = max_bytes;
	mb->efd = -1;
	return mb;
}

void mailbox_free(struct mailbox *mb)
{
	if (!mb)
		return;
	assert(!mb->head);
	if (mb->efd >= 0)
		close(mb->efd);
	pthread_cond_destroy(&mb->more);
	pthread_mutex_destroy(&mb->lock);
	free(mb);
}

static void signal_locked(struct mailbox *mb)
{
	pthread_cond_signal(&mb->more);
	if (mb->efd >= 0 && eventfd_write(mb->efd, 1) != 0) {
		/* the counter is at its maximum: it is readable already */
	}
}

static void add_locked(struct mailbox *mb, struct msg *m)
{
	bool was_empty = !mb->head;

	m->next = NULL;
	*mb->tail = m;
	mb->tail = &m->next;
	mb->count++;
	mb->bytes += m->bytes;
	if (was_empty)
		signal_locked(mb);
}

int mailbox_put(struct mailbox *mb, struct msg *m)
{
	int rc = -1;

	pthread_mutex_lock(&mb->lock);
	/* one message is always let in, so that one larger than the limit is not stuck for ever */
	if (!mb->closed && (!mb->count || (mb->count < mb->max_count && mb->bytes + m->bytes <= mb->max_bytes))) {
		add_locked(mb, m);
		rc = 0;
	}
	pthread_mutex_unlock(&mb->lock);
	return rc;
}

void mailbox_reply(struct mailbox *mb, struct msg *m)
{
	pthread_mutex_lock(&mb->lock);
	add_locked(mb, m);
	pthread_mutex_unlock(&mb->lock);
}

struct msg *mailbox_take(struct mailbox *mb, size_t max_count, size_t max_bytes)
{
	struct msg *list, *last = NULL;
	size_t n = 0, bytes = 0;
	eventfd_t v;

	pthread_mutex_lock(&mb->lock);
	list = mb->head;
	for (struct msg *m = list; m && n < max_count && (!n || bytes + m->bytes <= max_bytes); m = m->next) {
		n++;
		bytes += m->bytes;
		last = m;
	}
	if (last) {
		mb->head = last->next;
		if (!mb->head)
			mb->tail = &mb->head;
		last->next = NULL;
		mb->count -= n;
		mb->bytes -= bytes;
	}
	mb->woken = false;
	if (!mb->head && mb->efd >= 0 && eventfd_read(mb->efd, &v) != 0) {
		/* it was not set */
	}
	pthread_mutex_unlock(&mb->lock);
	return last ? list : NULL;
}

void mailbox_wait(struct mailbox *mb, int64_t deadline_mono)
{
	struct timespec ts = {.tv_sec = (time_t)(deadline_mono / NSEC_PER_SEC), .tv_nsec = (long)(deadline_mono % NSEC_PER_SEC)};

	pthread_mutex_lock(&mb->lock);
	while (!mb->head && !mb->woken) {
		if (deadline_mono == NEVER)
			pthread_cond_wait(&mb->more, &mb->lock);
		else if (pthread_cond_timedwait(&mb->more, &mb->lock, &ts))
			break;
	}
	mb->woken = false;
	pthread_mutex_unlock(&mb->lock);
}

void mailbox_wake(struct mailbox *mb)
{
	pthread_mutex_lock(&mb->lock);
	mb->woken = true;
	signal_locked(mb);
	pthread_mutex_unlock(&mb->lock);
}

void mailbox_close(struct mailbox *mb)
{
	pthread_mutex_lock(&mb->lock);
	mb->closed = true;
	mb->woken = true;
	signal_locked(mb);
	pthread_mutex_unlock(&mb->lock);
}

int mailbox_fd(struct mailbox *mb)
{
	pthread_mutex_lock(&mb->lock);
	if (mb->efd < 0) {
		mb->efd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (mb->efd >= 0 && mb->head)
			signal_locked(mb);
	}
	pthread_mutex_unlock(&mb->lock);
	return mb->efd;
}

void mailbox_stats(struct mailbox *mb, size_t *count, size_t *bytes)
{
	pthread_mutex_lock(&mb->lock);
	*count = mb->count;
	*bytes = mb->bytes;
	pthread_mutex_unlock(&mb->lock);
}
