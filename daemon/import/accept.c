/*
 * accept.c - the acceptor's thread: it takes connections and gives each to the http thread that has the fewest (libmicrohttpd's own pool does not
 * balance), and it is the door's clock: requests whose time is over, connections that do not come to an end, free disk. A connection
 * too many is answered 503 here and closed when the client has seen it.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/core/metrics.h"
#include "daemon/import/import_priv.h"
#include "file.h"
#include "log.h"
#include "xalloc.h"

#define TICK_BUSY 100 /* ms */
#define TICK_IDLE 1000
#define DISK_EVERY (250 * NSEC_PER_MSEC)
#define DEAD_EVERY (250 * NSEC_PER_MSEC)
#define RATE_OVER (5 * NSEC_PER_SEC)
#define WAIT_UNKNOWN 30u /* s */
#define WAIT_MAX 60u
#define LINGER_MAX 64u
#define LINGER_TIME NSEC_PER_SEC

/* --- listening --- */

static unsigned port_of(int fd)
{
	struct sockaddr_storage a;
	socklen_t n = sizeof(a);

	if (getsockname(fd, (struct sockaddr *)&a, &n))
		return 0;
	return ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)(void *)&a)->sin6_port : ((struct sockaddr_in *)(void *)&a)->sin_port);
}

static int listen_on(struct import *im, const struct addrinfo *ai, bool tls, unsigned *port, struct err *e)
{
	struct sockaddr_storage a;
	int fd, one = 1;

	memcpy(&a, ai->ai_addr, ai->ai_addrlen);
	if (*port) { /* the same port as the first one's */
		if (ai->ai_family == AF_INET6)
			((struct sockaddr_in6 *)(void *)&a)->sin6_port = htons((uint16_t)*port);
		else
			((struct sockaddr_in *)(void *)&a)->sin_port = htons((uint16_t)*port);
	}
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(e, errno, "socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (ai->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, ai->ai_addrlen) || listen(fd, 1024)) {
		int why = errno;

		close(fd);
		if (why == EADDRINUSE)
			return err_set(e, ERR_IO, "cannot listen on %s: another program listens there already; choose another with --http%s ADDRESS:PORT (port 0: a free one)",
				tls ? im->listen_tls : im->listen, tls ? "s" : "");
		return err_errno(e, why, "cannot listen on %s", tls ? im->listen_tls : im->listen);
	}
	im->listeners[im->n_listeners++] = (struct listener){fd, tls};
	if (!*port)
		*port = port_of(fd);
	return 0;
}

static int open_address(struct import *im, const char *address, bool tls, unsigned *port, struct err *e)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *list = NULL;
	const char *colon = strrchr(address, ':');
	char host[256];
	unsigned before = im->n_listeners;
	int rc;

	if (!colon || str_copy(host, sizeof(host), str_mem(address, (size_t)(colon - address))))
		return err_set(e, ERR_CONFIG, "\"%s\" is no address: it must be HOST:PORT, [IPV6]:PORT or *:PORT", address);
	if (host[0] == '[' && host[strlen(host) - 1] == ']') {
		memmove(host, host + 1, strlen(host));
		host[strlen(host) - 1] = '\0';
	}
	rc = getaddrinfo(!host[0] || strcmp(host, "*") == 0 ? NULL : host, colon + 1, &hints, &list);
	if (rc)
		return err_set(e, ERR_CONFIG, "\"%s\": %s", address, gai_strerror(rc));
	for (const struct addrinfo *ai = list; ai && im->n_listeners - before < IMPORT_LISTEN_MAX; ai = ai->ai_next)
		if (ai->ai_family == AF_INET || ai->ai_family == AF_INET6)
			(void)listen_on(im, ai, tls, port, im->n_listeners > before ? NULL : e); /* one of several is enough: not every machine has IPv6 */
	freeaddrinfo(list);
	if (im->n_listeners == before)
		return e && e->code ? -1 : err_set(e, ERR_CONFIG, "\"%s\" has no address to listen on", address);
	err_clear(e);
	return 0;
}

int accept_open(struct import *im, struct err *e)
{
	if (open_address(im, im->listen, false, &im->port, e))
		return -1;
	return im->listen_tls ? open_address(im, im->listen_tls, true, &im->port_tls, e) : 0;
}

/* --- connections --- */

struct leaving {
	int fd;
	int64_t until;
};

struct acceptor {
	struct import *im;
	struct leaving linger[LINGER_MAX];
	unsigned n_linger;
	int64_t disk_at, dead_at, seen_at;
	uint64_t seen_free; /* at seen_at, for the speed at which a full disk empties */
	struct pollfd *poll; /* of look_for_dead */
	struct conn **conns;
	size_t cap;
};

static void linger_step(struct acceptor *a, int64_t now)
{
	char waste[4096];

	for (unsigned i = 0; i < a->n_linger;) {
		ssize_t n = recv(a->linger[i].fd, waste, sizeof(waste), MSG_DONTWAIT);

		if (n > 0)
			continue;
		if (n == 0 || (errno != EAGAIN && errno != EINTR) || now > a->linger[i].until) {
			close(a->linger[i].fd);
			a->linger[i] = a->linger[--a->n_linger];
		} else {
			i++;
		}
	}
}

/* Too many: the answer fits into the socket's buffer; what the client still sends is read, or it would see a reset. One that wants
 * TLS would have to be spoken to for that; it is only closed. */
static void turn_away(struct acceptor *a, int fd, bool tls)
{
	static const char body[] = "{\"status\":\"ERROR\",\"message\":\"Too many connections; please try again later\"}";
	char text[400];
	int n = snprintf(text, sizeof(text),
		"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nRetry-After: %u\r\nConnection: close\r\n\r\n%s",
		sizeof(body) - 1, import_retry_after(a->im), body);

	metric_add(import_unavailable_total, 1);
	if (tls || send(fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) != n || shutdown(fd, SHUT_WR) || a->n_linger == LINGER_MAX) {
		close(fd);
		return;
	}
	a->linger[a->n_linger++] = (struct leaving){fd, now_get().mono + LINGER_TIME};
}

static struct worker *least_busy(struct import *im, bool tls)
{
	struct worker *best = &im->workers[tls ? im->n_workers / 2 : 0];

	for (unsigned i = 0; i < im->n_workers; i++)
		if (im->workers[i].tls == tls && atomic_load(&im->workers[i].conns) < atomic_load(&best->conns))
			best = &im->workers[i];
	return best;
}

/* IPv4 as IPv6 has it. Of an IPv6 address its network, the first 64 bits: the rest is for its owner to choose, as often as he likes. */
void accept_address(const struct sockaddr *a, unsigned char out[16])
{
	static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};

	memset(out, 0, 16);
	if (a && a->sa_family == AF_INET6) {
		const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr;

		memcpy(out, six, IN6_IS_ADDR_V4MAPPED(six) ? 16 : 8);
	} else if (a && a->sa_family == AF_INET) {
		memcpy(out, mapped, sizeof(mapped));
		memcpy(out + 12, &((const struct sockaddr_in *)(const void *)a)->sin_addr, 4);
	}
}

void accept_forget(struct import *im, const unsigned char address[16])
{
	struct str key = str_mem((const char *)address, 16);
	uintptr_t n = (uintptr_t)map_get(&im->addresses, key);

	if (n > 1)
		map_put(&im->addresses, key, (void *)(n - 1));
	else
		map_del(&im->addresses, key);
}

/* One more from this address; false: it has as many as it may. */
static bool count_address(struct import *im, const unsigned char address[16])
{
	struct str key = str_mem((const char *)address, 16);
	uintptr_t n;

	pthread_mutex_lock(&im->lock);
	n = (uintptr_t)map_get(&im->addresses, key);
	if (n < im->c.connections_per_address)
		map_put(&im->addresses, key, (void *)(n + 1));
	pthread_mutex_unlock(&im->lock);
	return n < im->c.connections_per_address;
}

static void hand_over(struct acceptor *a, int fd, bool tls, const struct sockaddr *addr, socklen_t len)
{
	struct import *im = a->im;
	bool counted = im->c.connections_per_address > 0;
	unsigned char address[16];
	struct worker *w;
	int one = 1;

	accept_address(addr, address);
	if (atomic_load(&im->n_conns) >= im->c.connections_max || (counted && !count_address(im, address))) {
		turn_away(a, fd, tls);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	w = least_busy(im, tls);
	atomic_fetch_add(&w->conns, 1);
	atomic_fetch_add(&im->n_conns, 1);
	metric_add(import_connections, 1);
	if (MHD_add_connection(w->mhd, fd, addr, len) == MHD_YES)
		return;
	/* it has closed the socket */
	if (counted) {
		pthread_mutex_lock(&im->lock);
		accept_forget(im, address);
		pthread_mutex_unlock(&im->lock);
	}
	atomic_fetch_sub(&w->conns, 1);
	atomic_fetch_sub(&im->n_conns, 1);
	metric_add(import_connections, -1);
}

/* false: out of descriptors, so that a wait is better than a loop. */
static bool take_connections(struct acceptor *a, const struct listener *l)
{
	for (int i = 0; i < 64; i++) {
		struct sockaddr_storage addr;
		socklen_t len = sizeof(addr);
		int fd = accept4(l->fd, (struct sockaddr *)&addr, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0)
			hand_over(a, fd, l->tls, (struct sockaddr *)&addr, len);
		else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			return false;
		else
			return true;
	}
	return true;
}

/* --- the clock --- */

/* Idle ones when the door closes, and those that have not brought a request in twice the time: libmicrohttpd's own timeout starts anew with
 * every byte, so a head that drips would live for ever. They see the end of their input; what they have sent whole is still answered. */
static void cut_connections(struct import *im, int64_t now)
{
	bool all = atomic_load(&im->draining);
	struct conn *c;

	pthread_mutex_lock(&im->lock);
	LIST_FOREACH(c, &im->conns, link) {
		int64_t since = atomic_load(&c->idle_since);

		if (!since || c->cut || (!all && now - since < 2 * im->c.request_timeout))
			continue;
		c->cut = true;
		shutdown(c->fd, SHUT_RD); /* never waits */
	}
	pthread_mutex_unlock(&im->lock);
}

/* Senders that have gone. When the last bytes and the end come together, libmicrohttpd reads the bytes and waits for an event that has been: such a
 * connection would keep its room for a body until the timeout. An event of our own wakes it. poll and recv do not wait here. */
static void look_for_dead(struct acceptor *a, int64_t now)
{
	struct import *im = a->im;
	struct conn *c;
	size_t n = 0;
	char byte;

	if (now < a->dead_at)
		return;
	a->dead_at = now + DEAD_EVERY;
	pthread_mutex_lock(&im->lock);
	LIST_FOREACH(c, &im->conns, link) {
		if (c->cut)
			continue;
		if (n == a->cap) {
			a->cap = a->cap ? 2 * a->cap : 64;
			a->poll = xreallocarray(a->poll, a->cap, sizeof(*a->poll));
			a->conns = xreallocarray(a->conns, a->cap, sizeof(struct conn *));
		}
		a->conns[n] = c;
		a->poll[n++] = (struct pollfd){.fd = c->fd, .events = POLLRDHUP};
	}
	if (n && poll(a->poll, n, 0) > 0)
		for (size_t i = 0; i < n; i++)
			if (a->poll[i].revents && recv(a->poll[i].fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) {
				a->conns[i]->cut = true;
				shutdown(a->poll[i].fd, SHUT_RD);
			}
	pthread_mutex_unlock(&im->lock);
}

/* How long until the disk is above the reserve again, at the speed of the last seconds. */
static void guess_wait(struct acceptor *a, uint64_t avail, int64_t now)
{
	uint64_t wait = WAIT_UNKNOWN, ms, per_ms;

	if (a->seen_at && now - a->seen_at < RATE_OVER)
		return;
	if (a->seen_at && avail > a->seen_free) {
		ms = (uint64_t)((now - a->seen_at) / NSEC_PER_MSEC);
		per_ms = MAX((avail - a->seen_free) / ms, 1);
		wait = MIN((a->im->c.reserve_bytes - avail) / per_ms / 1000 + 1, WAIT_MAX);
	}
	atomic_store(&a->im->disk_wait, (unsigned)wait);
	a->seen_at = now;
	a->seen_free = avail;
}

static void look_at_disk(struct acceptor *a, int64_t now)
{
	struct import *im = a->im;
	uint64_t avail, total;
	bool low;

	if (!im->state_dir || now < a->disk_at || file_disk_free(im->state_dir, &avail, &total, NULL))
		return;
	a->disk_at = now + DISK_EVERY;
	metric_set(disk_free_bytes, (int64_t)avail);
	low = avail < im->c.reserve_bytes;
	if (low)
		guess_wait(a, avail, now);
	else
		a->seen_at = 0;
	if (low == atomic_load(&im->disk_low))
		return;
	atomic_store(&im->disk_low, low);
	if (low)
		log_warn("the door is shut: %" PRIu64 " bytes are free, the reserve is %" PRIu64, avail, im->c.reserve_bytes);
	else
		log_info("the door is open again: %" PRIu64 " bytes are free", avail);
}

static void close_listeners(struct import *im)
{
	for (unsigned i = 0; i < im->n_listeners; i++)
		close(im->listeners[i].fd);
	im->n_listeners = 0;
}

static void tick(struct acceptor *a)
{
	struct import *im = a->im;
	int64_t now = now_get().mono;

	if (atomic_load(&im->draining))
		close_listeners(im);
	look_at_disk(a, now);
	request_expire(im, now);
	cut_connections(im, now);
	look_for_dead(a, now);
	linger_step(a, now);
}

void *accept_run(void *arg)
{
	struct acceptor a = {.im = arg};
	struct import *im = arg;
	struct pollfd p[2 * IMPORT_LISTEN_MAX + 1];

	log_context("accept");
	while (!atomic_load(&im->stop)) {
		bool busy = atomic_load(&im->n_conns) || a.n_linger, able = true;
		uint64_t n;

		tick(&a);
		for (unsigned i = 0; i < im->n_listeners; i++)
			p[i + 1] = (struct pollfd){.fd = im->listeners[i].fd, .events = POLLIN};
		p[0] = (struct pollfd){.fd = im->wake, .events = POLLIN};
		if (poll(p, im->n_listeners + 1, busy ? TICK_BUSY : TICK_IDLE) <= 0)
			continue;
		if (p[0].revents && read(im->wake, &n, sizeof(n)) < 0)
			log_debug("acceptor: %s", errno_text(errno));
		for (unsigned i = 0; i < im->n_listeners; i++)
			if (p[i + 1].revents)
				able &= take_connections(&a, &im->listeners[i]);
		if (!able)
			poll(NULL, 0, TICK_BUSY);
	}
	for (unsigned i = 0; i < a.n_linger; i++)
		close(a.linger[i].fd);
	free(a.poll);
	free(a.conns);
	close_listeners(im);
	return NULL;
}
