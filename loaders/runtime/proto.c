/*
 * proto.c - fd 3. The daemon sends descriptors with the first byte of the line that names their batches, and sends no second such line before the first is
 * answered, so those that have come belong to the next load.start.
 *
 * What can go wrong: more descriptors than the process may have open (MSG_CTRUNC) would load a batch from another's file; that is an error here.
 */
#include "loaders/runtime/proto.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE (64u << 10)

static int take_fds(struct proto *p, struct msghdr *mh, struct err *e)
{
	for (struct cmsghdr *cm = CMSG_FIRSTHDR(mh); cm; cm = CMSG_NXTHDR(mh, cm)) {
		size_t n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t k = 0; k < n; k++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cm) + k * sizeof(int), sizeof(int));
			if (p->n_fds < PROTO_FDS_MAX)
				p->fds[p->n_fds++] = fd;
			else
				close(fd);
		}
	}
	if (mh->msg_flags & MSG_CTRUNC)
		return err_set(e, ERR_TRANSIENT, "not all files of the load came: too many open files");
	return 0;
}

/* 1: bytes came; 0: end of file */
static int receive(struct proto *p, struct err *e)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(PROTO_FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov;
	struct msghdr mh;
	ssize_t n;

	buf_reserve(&p->in.in, READ_SIZE);
	do {
		iov = (struct iovec){.iov_base = p->in.in.data + p->in.in.len, .iov_len = READ_SIZE};
		mh = (struct msghdr){.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room)};
		n = recvmsg(p->fd, &mh, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno != ECONNRESET)
		return err_errno(e, errno, "reading from fd %d", p->fd);
	if (n <= 0)
		return 0;
	p->in.in.len += (size_t)n;
	p->in.in.data[p->in.in.len] = '\0';
	return take_fds(p, &mh, e) ? -1 : 1;
}

int proto_read(struct proto *p, struct rpc_msg *out, struct err *e)
{
	struct str line;
	int rc;

	while ((rc = rpc_lines_next(&p->in, &line, e)) == 0) {
		rc = receive(p, e);
		if (rc <= 0)
			return rc;
	}
	if (rc < 0 || rpc_parse(line, out, e))
		return -1;
	/* it may have held a secret */
	explicit_bzero((char *)(uintptr_t)line.ptr, line.len);
	return 1;
}

int proto_write(struct proto *p, struct buf *line, struct err *e)
{
	size_t done = 0;

	while (done < line->len) {
		ssize_t n = send(p->fd, line->data + done, line->len - done, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(e, errno, "writing to fd %d", p->fd);
		done += (size_t)n;
	}
	buf_truncate(line, 0);
	return 0;
}

void proto_drop_fds(struct proto *p)
{
	while (p->n_fds)
		close(p->fds[--p->n_fds]);
}

void proto_free(struct proto *p)
{
	proto_drop_fds(p);
	buf_free(&p->in.in);
}
