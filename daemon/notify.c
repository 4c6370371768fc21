/*
 * notify.c - the service manager's protocol: newline-separated assignments to a Unix datagram socket, abstract if it begins with '@'. Failing
 * to send is not an error: the manager then acts by its own time-outs.
 */
#include "daemon/notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "str.h"

void notify_send(const char *fmt, ...)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char text[512];
	va_list ap;
	size_t len;
	int fd;

	if (!path || (path[0] != '/' && path[0] != '@') || str_copy(a.sun_path, sizeof(a.sun_path), str_c(path)))
		return;
	len = strlen(path);
	if (a.sun_path[0] == '@')
		a.sun_path[0] = '\0';
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0) {
		/* the manager is gone: nothing to do about it */
	}
	close(fd);
}

int64_t notify_watchdog_interval(void)
{
	const char *us = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	int64_t v, p;

	if (!us || str_to_i64(str_c(us), &v) || v <= 0)
		return 0;
	if (pid && (str_to_i64(str_c(pid), &p) || p != getpid()))
		return 0;
	return v * 1000 / 2;
}
