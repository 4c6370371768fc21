/*
 * 0070-loop.c - the event loop: order of timers, removal from inside callbacks, wake from another thread, hang-up.
 */
#include "tap.h"

#include <pthread.h>
#include <unistd.h>

#include "buf.h"
#include "loop.h"

static struct buf seen;
static struct loop_timer *victim;
static struct loop_io *ios[2];
static int again, calls[2];

static int64_t mono(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static void say(struct loop *l, void *arg)
{
	(void)l;
	buf_adds(&seen, arg);
}

static void kill_victim(struct loop *l, void *arg)
{
	(void)arg;
	buf_adds(&seen, "k");
	loop_timer_del(l, victim);
}

static void itself(struct loop *l, void *arg)
{
	(void)arg;
	loop_timer_del(l, victim); /* the one that fires: harmless */
	if (++again < 3)
		victim = loop_timer(l, 0, itself, NULL);
}

static void test_timers(struct loop *l)
{
	int64_t now = mono();

	loop_timer(l, now - 1, say, (void *)(uintptr_t)"b");
	loop_timer(l, now - 2, say, (void *)(uintptr_t)"a");
	loop_timer(l, now - 1, say, (void *)(uintptr_t)"c");
	loop_timer(l, now - 1, kill_victim, NULL);
	victim = loop_timer(l, now, say, (void *)(uintptr_t)"X");
	loop_once(l, NEVER);
	is_str("abck", buf_cstr(&seen), "timers fire by deadline, then age; a deleted one does not");
	victim = loop_timer(l, 0, itself, NULL);
	loop_once(l, NEVER);
	is_int(1, again, "a timer that sets itself in the past fires once a round");
	loop_once(l, NEVER);
	loop_once(l, NEVER);
	is_int(3, again, "and again in the next rounds");
	now = mono();
	loop_once(l, now + 20 * NSEC_PER_MSEC);
	ok(mono() - now >= 20 * NSEC_PER_MSEC, "the deadline of loop_once is kept");
}

static void remove_both(struct loop *l, int fd, unsigned events, void *arg)
{
	int me = *(int *)arg;

	(void)fd;
	(void)events;
	calls[me]++;
	loop_del(l, ios[0]);
	loop_del(l, ios[1]);
}

static void hup(struct loop *l, int fd, unsigned events, void *arg)
{
	char c;

	*(unsigned *)arg = events;
	if (read(fd, &c, 1) == 0)
		loop_stop(l);
}

static void *waker(void *arg)
{
	nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	loop_wake(arg);
	return NULL;
}

int main(void)
{
	struct loop *l = loop_new(NULL);
	struct err e = ERR_INIT;
	int p[2][2], number[2] = {0, 1};
	unsigned events = 0;
	pthread_t th;

	plan_lazy();
	ok(l != NULL, "a loop");
	test_timers(l);
	for (int k = 0; k < 2; k++) {
		if (pipe(p[k]) || write(p[k][1], "x", 1) != 1)
			bail("pipe");
		ios[k] = loop_add(l, p[k][0], LOOP_READ, remove_both, &number[k], &e);
	}
	loop_once(l, NEVER);
	is_int(1, calls[0] + calls[1], "removed by the first callback, the second event of the same batch is dropped");
	if (read(p[0][0], &(char){0}, 1) != 1)
		bail("read");
	close(p[0][1]);
	ios[0] = loop_add(l, p[0][0], LOOP_READ, hup, &events, &e);
	loop_run(l);
	ok(events & (LOOP_READ | LOOP_HUP), "end of file is told, and loop_stop ends loop_run");
	loop_del(l, ios[0]);
	ok(!loop_add(l, 9999, LOOP_READ, hup, NULL, &e) && e.code == ERR_IO, "a descriptor that is none is an error");
	pthread_create(&th, NULL, waker, l);
	loop_once(l, NEVER);
	ok(true, "another thread wakes it");
	pthread_join(th, NULL);
	loop_free(l);
	buf_free(&seen);
	return done_testing();
}
