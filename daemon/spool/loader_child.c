/*
 * loader_child.c - one loader process: spawned with an empty environment, nothing open but /dev/null, stderr and fd 3, its own process group
 * (so that a Ctrl-C at a terminal reaches only the daemon) and limits. It is watched and signalled through its pidfd, so a pid that was
 * taken again by another process can never be hit.
 *
 * What can go wrong: a line with descriptors is sent in pieces; they travel with its first byte only, and what was sent before it is complete,
 * so the loader gets them with the line they belong to.
 */
#include "daemon/spool/runner_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "xalloc.h"

#define READ_SIZE (64u << 10)

static char *own_folder(void)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash;

	if (n <= 0)
		return NULL;
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (!slash)
		return NULL;
	*slash = '\0';
	return xstrdup(path);
}

static bool kind_is_plain(const char *kind)
{
	size_t n = strlen(kind);

	return n > 0 && n < 32 && strspn(kind, "abcdefghijklmnopqrstuvwxyz0123456789_-") == n;
}

static char *find_program(const char *libexec, const char *name, struct err *e)
{
	char *own = own_folder();
	const char *dirs[] = {libexec, getenv("STITCH_LIBEXEC"), own, PKGLIBEXECDIR};
	char *path = NULL;

	for (size_t k = 0; k < ARRAY_LEN(dirs) && !path; k++) {
		if (!dirs[k] || !*dirs[k])
			continue;
		path = xasprintf("%s/%s", dirs[k], name);
		if (access(path, X_OK)) {
			free(path);
			path = NULL;
		}
	}
	if (!path)
		err_set(e, ERR_CONFIG, "there is no loader program %s beside stitchd or in %s; install it or set libexec", name, PKGLIBEXECDIR);
	free(own);
	return path;
}

static void limit(pid_t pid, uint64_t memory)
{
	const struct rlimit none = {0, 0};

	if (prlimit(pid, RLIMIT_CORE, &none, NULL))
		log_debug("loader %d: no limit on core files: %s", (int)pid, errno_text(errno));
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	/* a sanitizer reserves terabytes of addresses */
	const struct rlimit mem = {memory, memory};

	if (memory && prlimit(pid, RLIMIT_AS, &mem, NULL))
		log_warn("loader %d: no limit on memory: %s", (int)pid, errno_text(errno));
#else
	(void)memory;
#endif
}

static int actions(posix_spawn_file_actions_t *fa, posix_spawnattr_t *at, int fd)
{
	sigset_t none, all;
	int rc;

	sigemptyset(&none);
	sigfillset(&all);
	rc = posix_spawn_file_actions_adddup2(fa, fd, 3);
	if (!rc)
		rc = posix_spawn_file_actions_addopen(fa, 0, "/dev/null", O_RDONLY, 0);
	if (!rc)
		rc = posix_spawn_file_actions_addopen(fa, 1, "/dev/null", O_WRONLY, 0);
	if (!rc)
		rc = posix_spawn_file_actions_addclosefrom_np(fa, 4);
	if (!rc)
		rc = posix_spawnattr_setsigmask(at, &none);
	if (!rc)
		rc = posix_spawnattr_setsigdefault(at, &all);
	if (!rc)
		rc = posix_spawnattr_setpgroup(at, 0);
	if (!rc)
		rc = posix_spawnattr_setflags(at, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	return rc;
}

static int spawn(pid_t *pid, const char *path, char *name, int fd)
{
	char *argv[] = {name, NULL}, *envp[] = {NULL};
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	int rc;

	posix_spawn_file_actions_init(&fa);
	posix_spawnattr_init(&at);
	rc = actions(&fa, &at, fd);
	if (!rc)
		rc = posix_spawn(pid, path, &fa, &at, argv, envp);
	posix_spawn_file_actions_destroy(&fa);
	posix_spawnattr_destroy(&at);
	return rc;
}

int child_spawn(struct child *c, const char *libexec, const char *kind, uint64_t memory, struct err *e)
{
	int sp[2] = {-1, -1}, rc;
	char *path = NULL;

	*c = (struct child){.pid = -1, .pidfd = -1, .fd = -1};
	STAILQ_INIT(&c->out);
	c->in.max = RPC_LOADER_MAX;
	if (!kind_is_plain(kind))
		return err_set(e, ERR_CONFIG, "\"%s\" is no kind of destination", kind);
	snprintf(c->program, sizeof(c->program), "stitch-load-%s", kind);
	path = find_program(libexec, c->program, e);
	if (!path)
		return -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sp)) {
		err_errno(e, errno, "%s: socket pair", c->program);
		goto out;
	}
	rc = spawn(&c->pid, path, c->program, sp[1]);
	if (rc) {
		c->pid = -1;
		err_errno(e, rc, "%s: cannot start %s", c->program, path);
		goto out;
	}
	limit(c->pid, memory);
	c->pidfd = pidfd_open(c->pid, 0);
	if (c->pidfd < 0 || fcntl(sp[0], F_SETFL, O_NONBLOCK)) {
		err_errno(e, errno, "%s: cannot watch process %d", c->program, (int)c->pid);
		goto out;
	}
	c->fd = sp[0];
	sp[0] = -1;
out:
	if (sp[0] >= 0)
		close(sp[0]);
	if (sp[1] >= 0)
		close(sp[1]);
	free(path);
	if (c->fd >= 0)
		return 0;
	if (c->pid > 0) {
		kill(c->pid, SIGKILL);
		waitpid(c->pid, NULL, 0);
		c->pid = -1;
	}
	child_free(c);
	return -1;
}

void child_line(struct child *c, struct buf *line)
{
	struct out_line *l = xcalloc(1, sizeof(*l));

	l->bytes = *line;
	*line = BUF_INIT;
	STAILQ_INSERT_TAIL(&c->out, l, link);
}

int64_t child_request(struct child *c, const char *method, json_t *params, int *fds, size_t n_fds)
{
	struct out_line *l = xcalloc(1, sizeof(*l));

	assert(n_fds <= LOADER_FDS_MAX);
	rpc_request(&l->bytes, ++c->last_id, method, params);
	l->fds = fds;
	l->n_fds = n_fds;
	STAILQ_INSERT_TAIL(&c->out, l, link);
	return c->last_id;
}

static void line_free(struct out_line *l)
{
	for (size_t k = 0; k < l->n_fds; k++)
		close(l->fds[k]);
	free(l->fds);
	/* it may have held a secret */
	if (l->bytes.data)
		explicit_bzero(l->bytes.data, l->bytes.len);
	buf_free(&l->bytes);
	free(l);
}

static ssize_t send_piece(struct child *c, struct out_line *l)
{
	struct iovec iov = {.iov_base = l->bytes.data + l->sent, .iov_len = l->bytes.len - l->sent};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(LOADER_FDS_MAX * sizeof(int))];
	} control;
	struct cmsghdr *cm;

	if (!l->sent && l->n_fds) {
		memset(&control, 0, sizeof(control));
		mh.msg_control = control.room;
		mh.msg_controllen = CMSG_SPACE(l->n_fds * sizeof(int));
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(l->n_fds * sizeof(int));
		memcpy(CMSG_DATA(cm), l->fds, l->n_fds * sizeof(int));
	}
	return sendmsg(c->fd, &mh, MSG_NOSIGNAL);
}

int child_write(struct child *c, struct err *e)
{
	struct out_line *l;

	while (c->fd >= 0 && (l = STAILQ_FIRST(&c->out))) {
		ssize_t n = send_piece(c, l);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return 1;
		if (n < 0)
			return err_errno(e, errno, "writing to %s", c->program);
		l->sent += (size_t)n;
		if (l->sent == l->bytes.len) {
			STAILQ_REMOVE_HEAD(&c->out, link);
			line_free(l);
		}
	}
	return 0;
}

int child_read(struct child *c, struct err *e)
{
	ssize_t n;

	if (c->fd < 0)
		return CHILD_EOF;
	buf_reserve(&c->in.in, READ_SIZE);
	do {
		n = recv(c->fd, c->in.in.data + c->in.in.len, READ_SIZE, 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return CHILD_NOTHING_YET;
	/* a process that died with our line unread resets the connection */
	if (n < 0 && errno == ECONNRESET)
		return CHILD_EOF;
	if (n < 0)
		return err_errno(e, errno, "reading from %s", c->program);
	c->in.in.len += (size_t)n;
	c->in.in.data[c->in.in.len] = '\0';
	return n > 0 ? CHILD_DATA : CHILD_EOF;
}

void child_close_fd(struct child *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

void child_signal(struct child *c, int sig)
{
	if (c->pidfd >= 0 && pidfd_send_signal(c->pidfd, sig, NULL, 0) && errno != ESRCH)
		log_err("%s (%d): signal %d: %s", c->program, (int)c->pid, sig, errno_text(errno));
}

bool child_reap(struct child *c, bool wait, char *how, size_t size)
{
	siginfo_t si = {.si_pid = 0};

	if (c->pid <= 0)
		return true;
	if (waitid(P_PIDFD, (id_t)c->pidfd, &si, WEXITED | (wait ? 0 : WNOHANG)) || si.si_pid == 0)
		return false;
	c->pid = -1;
	if (si.si_code == CLD_EXITED)
		snprintf(how, size, "exit status %d", si.si_status);
	else
		snprintf(how, size, "signal %d (%s)", si.si_status, sigdescr_np(si.si_status) ? sigdescr_np(si.si_status) : "?");
	return true;
}

void child_free(struct child *c)
{
	struct out_line *l;

	assert(c->pid <= 0);
	while ((l = STAILQ_FIRST(&c->out))) {
		STAILQ_REMOVE_HEAD(&c->out, link);
		line_free(l);
	}
	child_close_fd(c);
	if (c->pidfd >= 0)
		close(c->pidfd);
	c->pidfd = -1;
	buf_free(&c->in.in);
	c->in = (struct rpc_lines){.max = RPC_LOADER_MAX};
}
