/*
 * httptest.c - see httptest.h.
 */
#include "httptest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "str.h"

#define WAIT_MS 60000

void http_dial(struct http *h, unsigned port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	*h = (struct http){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
	if (connect(h->fd, (struct sockaddr *)&a, sizeof(a))) {
		close(h->fd);
		h->fd = -1;
	}
}

void http_close(struct http *h)
{
	if (h->fd >= 0)
		close(h->fd);
	h->fd = -1;
	buf_free(&h->in);
	buf_free(&h->head);
	buf_free(&h->body);
}

void http_say(struct http *h, struct str text)
{
	while (text.len) {
		ssize_t n = send(h->fd, text.ptr, text.len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* the answer, or its absence, tells */
		text = str_mem(text.ptr + n, text.len - (size_t)n);
	}
}

void http_sayf(struct http *h, const char *fmt, ...)
{
	char text[8192];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	assert(n >= 0 && (size_t)n < sizeof(text));
	http_say(h, str_mem(text, (size_t)n));
}

void http_half_close(struct http *h)
{
	shutdown(h->fd, SHUT_WR);
}

/* More bytes; false: the end, an error, or too long. */
static bool more(struct http *h)
{
	struct pollfd p = {.fd = h->fd, .events = POLLIN};
	char text[65536];
	ssize_t n;

	if (h->fd < 0 || poll(&p, 1, WAIT_MS) <= 0)
		return false;
	n = recv(h->fd, text, sizeof(text), 0);
	if (n <= 0)
		return false;
	buf_add(&h->in, text, (size_t)n);
	return true;
}

static const char *header(const struct http *h, const char *name)
{
	const char *p = h->head.data;
	size_t n = strlen(name);

	while (p && (p = strstr(p, "\r\n"))) {
		p += 2;
		if (strncasecmp(p, name, n) == 0 && p[n] == ':')
			return p + n + 1 + strspn(p + n + 1, " ");
	}
	return NULL;
}

unsigned http_hear(struct http *h)
{
	const char *end, *length, *connection;
	size_t n;

	buf_truncate(&h->head, 0);
	buf_truncate(&h->body, 0);
	h->status = 0;
	h->closes = false;
	while (!h->in.data || !(end = strstr(h->in.data, "\r\n\r\n")))
		if (!more(h))
			return 0;
	buf_add(&h->head, h->in.data, (size_t)(end + 2 - h->in.data));
	buf_consume(&h->in, (size_t)(end + 4 - h->in.data));
	if (h->head.len < 12)
		return 0;
	h->status = (unsigned)strtoul(h->head.data + 9, NULL, 10);
	length = header(h, "Content-Length");
	n = length ? strtoul(length, NULL, 10) : 0;
	if (h->status == 100)
		n = 0;
	while (h->in.len < n)
		if (!more(h))
			return h->status = 0;
	buf_add(&h->body, h->in.len ? h->in.data : "", n);
	buf_consume(&h->in, n);
	connection = header(h, "Connection");
	h->closes = connection && strncasecmp(connection, "close", 5) == 0;
	return h->status;
}

bool http_ended(struct http *h)
{
	struct pollfd p = {.fd = h->fd, .events = POLLIN};
	char c;

	if (h->in.len)
		return false;
	if (h->fd < 0)
		return true;
	return poll(&p, 1, WAIT_MS) > 0 && recv(h->fd, &c, 1, 0) <= 0;
}

bool http_has(const struct http *h, const char *line)
{
	return h->head.data && strstr(h->head.data, line);
}

unsigned http_post(struct http *h, const char *path, const char *token, const char *body)
{
	struct buf text = BUF_INIT;

	buf_addf(&text, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", path, token,
		strlen(body), body);
	http_say(h, buf_str(&text));
	buf_free(&text);
	return http_hear(h);
}
