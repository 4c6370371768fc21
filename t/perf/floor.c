/*
 * floor.c - the least that a door can do which does the same work as ours: HTTP by hand over epoll, each body scanned as strict JSON, compressed by zstd 1, written
 * into blocks that were zeroed and synced before, one fdatasync for all that came in together, and only then the answers. No library for HTTP, no token, no
 * schema, no table, no batch files: what stitchd costs above this is what those cost.
 *   floor PORT THREADS FILE
 * Each thread listens for itself (SO_REUSEPORT) and has a FILE.N of its own, written round and round. Any error ends it: it is a yardstick, not a server.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zstd.h>

#include "jscan.h"
#include "xalloc.h"

#define BODY_MAX (4u << 20)
#define FILE_SIZE (256u << 20)
#define BLOCK 4096u
#define EVENTS 256

struct conn { int fd; size_t len, need; char *buf; };
struct worker { int port; char *path; };

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

static int listener(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int one = 1, s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	need(s >= 0 && setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) == 0, "socket");
	need(bind(s, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(s, 1024) == 0, "bind");
	return s;
}

static int zeroed_file(const char *path)
{
	int fd = open(path, O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0600);
	char *zeros = xcalloc(1, 1u << 20);

	need(fd >= 0, path);
	for (unsigned k = 0; k < FILE_SIZE >> 20; k++)
		need(write(fd, zeros, 1u << 20) == 1 << 20, path);
	need(fdatasync(fd) == 0, path);
	free(zeros);
	return fd;
}

/* 1: a whole request is there, its body is body..body+*n */
static bool whole(struct conn *c, char **body, size_t *n)
{
	char *head = memmem(c->buf, c->len, "\r\n\r\n", 4), *l;

	if (!head || (c->need && c->len < c->need))
		return false;
	head += 4;
	if (!c->need) {
		head[-1] = '\0';
		l = strcasestr(c->buf, "content-length:");
		head[-1] = '\n';
		c->need = (size_t)(head - c->buf) + (l ? strtoul(l + 15, NULL, 10) : 0);
		need(c->need <= BODY_MAX, "a body is too large for floor");
	}
	*body = head;
	*n = c->need - (size_t)(head - c->buf);
	return c->len >= c->need;
}

static void accept_one(int ep, int s)
{
	struct conn *c = xcalloc(1, sizeof(*c));
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};

	c->fd = accept4(s, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (c->fd < 0) {
		free(c);
		return;
	}
	c->buf = xmalloc(BODY_MAX);
	need(epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e) == 0, "epoll_ctl");
}

/* Reads what is there; compressed into out if the request is whole. */
static bool take(struct conn *c, ZSTD_CCtx *z, struct buf *out)
{
	ssize_t r = read(c->fd, c->buf + c->len, BODY_MAX - c->len);
	const char *error;
	size_t n, at, packed;
	char *body;

	if (r <= 0) {
		if (r == 0) {
			close(c->fd);
			free(c->buf);
			free(c);
		}
		return false;
	}
	c->len += (size_t)r;
	if (!whole(c, &body, &n))
		return false;
	need(jscan_valid(body, n, 0, &error, &at), "a body is no JSON");
	buf_reserve(out, ZSTD_compressBound(n));
	packed = ZSTD_compressCCtx(z, out->data + out->len, ZSTD_compressBound(n), body, n, 1);
	need(!ZSTD_isError(packed), "zstd");
	out->len += packed;
	c->len = c->need = 0;
	return true;
}

static void *serve(void *arg)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"status\":\"OK\"}";
	struct worker *w = arg;
	int s = listener(w->port), fd = zeroed_file(w->path), ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event e = {.events = EPOLLIN}, ev[EVENTS];
	ZSTD_CCtx *z = ZSTD_createCCtx();
	struct buf out = BUF_INIT;
	off_t at = 0;

	need(epoll_ctl(ep, EPOLL_CTL_ADD, s, &e) == 0, "epoll_ctl");
	for (;;) {
		int n = epoll_wait(ep, ev, EVENTS, -1), done = 0;
		struct conn *ready[EVENTS];

		buf_truncate(&out, 0);
		for (int k = 0; k < n; k++)
			if (!ev[k].data.ptr)
				accept_one(ep, s);
			else if (take(ev[k].data.ptr, z, &out))
				ready[done++] = ev[k].data.ptr;
		if (!done)
			continue;
		if (at + (off_t)out.len > (off_t)FILE_SIZE)
			at = 0;
		need(pwrite(fd, out.data, out.len, at) == (ssize_t)out.len && fdatasync(fd) == 0, w->path);
		at += (off_t)((out.len + BLOCK - 1) / BLOCK * BLOCK);
		for (int k = 0; k < done; k++)
			need(write(ready[k]->fd, answer, sizeof(answer) - 1) > 0, "answer");
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int threads = argc == 4 ? (int)strtol(argv[2], NULL, 10) : 0;
	pthread_t t;

	if (threads < 1) {
		fprintf(stderr, "usage: floor PORT THREADS FILE\n");
		return 2;
	}
	for (int k = 0; k < threads; k++) {
		struct worker *w = xcalloc(1, sizeof(*w));

		w->port = (int)strtol(argv[1], NULL, 10);
		w->path = xasprintf("%s.%d", argv[3], k);
		need(pthread_create(&t, NULL, serve, w) == 0, "pthread_create");
	}
	pthread_join(t, NULL);
	return 0;
}
