/*
 * s3-tool.c - shared/s3.h by hand, for shell tests: one bucket, one command, answers as lines. What can go wrong: an error is one line "error CODE: text" on standard output and, where there
 * is a fix, one "fix: text"; the exit status is 1.
 *
 *   S3_ENDPOINT S3_BUCKET S3_REGION AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN, S3_STYLE (path, host), S3_SSE, S3_IDLE (seconds), S3_TICKS (give up at that tick)
 *   put KEY FILE [absent] | cat KEY [OFF LEN] | get KEY FILE | head KEY | del KEY | list [PREFIX [AFTER]] | upload KEY [PIECE [SPILL-DIR]] < bytes | requests is told on stderr
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "s3.h"
#include "xalloc.h"

static int64_t ticks;

static int on_tick(void *arg)
{
	int64_t *left = arg;

	ticks++;
	return *left && --*left == 0;
}

static int show(const struct s3_object *o, void *arg)
{
	(void)arg;
	printf("%s %" PRIu64 " %s\n", o->key, o->size, o->etag);
	return 0;
}

static int upload(struct s3 *s, const char *key, size_t piece, const char *spill, struct err *e)
{
	struct s3_upload *u = s3_upload_new(s, key, NULL, e);
	char *room = xmalloc(piece);
	ssize_t n;
	int rc = u ? 0 : -1;

	while (!rc && (n = read(0, room, piece)) > 0) {
		rc = s3_upload_write(u, room, (size_t)n, e);
		if (!rc && spill && s3_upload_held(u) > (1u << 20))
			rc = s3_upload_spill(u, e);
	}
	if (!rc)
		rc = s3_upload_end(u, e);
	if (rc)
		s3_upload_abort(u);
	free(room);
	return rc;
}

static int run(struct s3 *s, int argc, char **argv, struct err *e)
{
	const char *cmd = argv[1], *key = argc > 2 ? argv[2] : "";
	struct s3_put o = {.if_absent = argc > 4};
	struct s3_object obj;
	struct buf b = BUF_INIT;
	struct stat st;
	int rc = -1, fd;

	if (strcmp(cmd, "put") == 0 && argc > 3) {
		fd = open(argv[3], O_RDONLY);
		if (fd < 0 || fstat(fd, &st))
			return err_errno(e, errno, "%s", argv[3]);
		rc = s3_put_fd(s, key, fd, 0, (uint64_t)st.st_size, &o, e);
		close(fd);
	} else if (strcmp(cmd, "cat") == 0) {
		rc = s3_get(s, key, argc > 4 ? strtoull(argv[3], NULL, 10) : 0, argc > 4 ? strtoull(argv[4], NULL, 10) : 0, 1 << 20, &b, e);
		if (!rc)
			fwrite(buf_cstr(&b), 1, b.len, stdout);
		buf_free(&b);
	} else if (strcmp(cmd, "get") == 0 && argc > 3) {
		fd = open(argv[3], O_RDWR | O_CREAT | O_TRUNC, 0644);
		if (fd < 0)
			return err_errno(e, errno, "%s", argv[3]);
		rc = s3_get_fd(s, key, 0, 0, fd, NULL, e);
		close(fd);
	} else if (strcmp(cmd, "head") == 0) {
		rc = s3_head(s, key, &obj, e);
		if (!rc)
			show(&obj, NULL);
	} else if (strcmp(cmd, "del") == 0) {
		rc = s3_delete(s, key, e);
	} else if (strcmp(cmd, "list") == 0) {
		rc = s3_list(s, key, argc > 3 ? argv[3] : NULL, show, NULL, e);
	} else if (strcmp(cmd, "upload") == 0) {
		rc = upload(s, key, argc > 3 ? (size_t)strtoull(argv[3], NULL, 10) : 65536, argc > 4 ? argv[4] : NULL, e);
	} else {
		return err_set(e, ERR_INVALID, "no such command");
	}
	return rc;
}

int main(int argc, char **argv)
{
	const char *style = getenv("S3_STYLE"), *idle = getenv("S3_IDLE"), *stop = getenv("S3_TICKS");
	int64_t left = stop ? strtoll(stop, NULL, 10) : 0;
	struct s3_conf c = {.endpoint = getenv("S3_ENDPOINT"), .bucket = getenv("S3_BUCKET"), .region = getenv("S3_REGION"), .access_key = getenv("AWS_ACCESS_KEY_ID"),
		.secret_key = getenv("AWS_SECRET_ACCESS_KEY"), .session_token = getenv("AWS_SESSION_TOKEN"), .sse = getenv("S3_SSE"), .tick = on_tick, .tick_arg = &left,
		.idle_timeout = idle ? strtoll(idle, NULL, 10) * NSEC_PER_SEC : 0};
	struct err e = ERR_INIT;
	struct s3 *s;
	int rc = -1;

	if (argc < 2)
		return 2;
	c.style = !style ? S3_STYLE_AUTO : strcmp(style, "host") == 0 ? S3_STYLE_HOST : S3_STYLE_PATH;
	s = s3_open(&c, &e);
	if (s)
		rc = run(s, argc, argv, &e);
	if (rc)
		printf("error %s: %s\n", err_name(e.code), e.text);
	if (rc && s && *s3_fix(s))
		printf("fix: %s\n", s3_fix(s));
	if (s)
		fprintf(stderr, "requests %" PRIu64 " ticks %" PRId64 " server %s\n", s3_requests(s), ticks, s3_server(s));
	s3_close(s);
	return rc ? 1 : 0;
}
