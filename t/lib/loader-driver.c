/*
 * loader-driver.c - the daemon's end of fd 3 for tests: builds batch files with shared/frame.h, starts a loader as stitchd does and runs a script from stdin. Each
 * command that asks the loader something prints one line, `result {...}` or `error {...}`; what the loader asks is printed as `reject {...}` and answered.
 * It believes nothing that the loader says: files and jobs are made here, the tables are looked at by the test.
 *
 *   spawn PROGRAM          start it            open {settings}      loader.open         kill | eof | close SIGKILL, end of fd 3 or loader.close; wait for its end
 *   table NAME [keys,..]   for what follows    source NAME ID       schema NAME ('-': none)                 queue HEX32
 *   declare FIELD type,..  columns of the job; fields that are not declared get the types seen in the records, in order, nested ones by their paths
 *                          (. before a member, [] for an element: declare a.b[] integer)    shallow     list no nested paths from here on, as older doors
 *   timed FIELD on|off     strings in this field are timestamps, as a JSON schema may say of some batches and not of others
 *   history                a load's columns are those that were known when the last made of its batches was, as the daemon's schema versions are
 *   batch NAME [VERSION [PARTITION]]           begins a batch; then
 *   entry OFFSET [NS]      a queue record      rec SEQ {data}       recx SEQ EXTRACTED {data}              activate SEQ
 *   gen N                  N flat records of 10 fields, 100 an entry                                         end   writes the file
 *   load NAME...           load.start = start NAME... and await             hangup      end of file on fd 3, and wait for its end
 *   flip NAME BYTE         damage its file     lie NAME KEY JSON  change its description in the job
 *   kill-after MS          SIGKILL, so long after the next load was asked for (0: never)
 *   dry NAME...            load.start as a dry run
 *   load-id N              of the next load (else one more than the last; its load_time is so many ms after a fixed one)
 *   peak                   prints `peak KIB`, the most memory that the loader has had
 *   attempt N              of the next loads   on-reject answer|kill|fail               discard NAME       sample ROWS   check   call METHOD {params}
 */
#include "base.h"

#define ERR_STATE OPENSSL_ERR_STATE /* OpenSSL has a type of that name */
#include <openssl/evp.h>
#undef ERR_STATE

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "frame.h"
#include "jscan.h"
#include "map.h"
#include "rpc.h"
#include "timefmt.h"
#include "xalloc.h"

#define BATCHES_MAX 200
#define BASE_NS INT64_C(1700000000000000000)

struct batch { char name[64]; json_t *params, *columns; int fd; uint64_t offset; };

static struct batch batches[BATCHES_MAX];
static size_t n_batches;
static pid_t child = -1;
static int sock = -1;
static struct rpc_lines in = {.max = RPC_LOADER_MAX};
static int64_t last_id, source_id = 1, attempt = 1, load_id;
static char *source, *schema, *table, *queue;
static json_t *keys, *columns, *timed;
static int64_t kill_after;
static bool shallow, dry_run, history;
static enum { ON_ANSWER, ON_KILL, ON_FAIL } on_reject;

/* the batch that is being made */
static struct { struct buf file, text; struct frame_entry entry; int64_t version, first, records, lines; struct frame_ctx *ctx; bool open; int64_t received; json_t *types; } mk;

static void die(const char *fmt, ...) PRINTF(1, 2) __attribute__((noreturn));
static void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "loader-driver: ");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "\n");
	va_end(ap);
	if (child > 0)
		kill(child, SIGKILL);
	exit(1);
}

static void set(char **to, const char *s)
{
	free(*to);
	*to = xstrdup(s);
}

/* --- batch files --- */

static json_t *column_named(const char *name)
{
	json_t *c;
	size_t k;

	json_array_foreach(columns, k, c)
	{
		if (strcmp(json_string_value(json_object_get(c, "name")), name) == 0)
			return c;
	}
	return NULL;
}

static void list_type(json_t *types, const char *type)
{
	json_t *v;
	size_t k;

	json_array_foreach(types, k, v)
	{
		if (strcmp(json_string_value(v), type) == 0)
			return;
	}
	json_array_append_new(types, json_string(type));
}

static void saw(const char *name, const char *type)
{
	json_t *c = column_named(name), *types;

	if (c && json_is_true(json_object_get(c, "declared"))) {
		json_object_set(mk.types, name, json_object_get(c, "types"));
		return;
	}
	types = json_object_get(mk.types, name);
	if (!types) {
		types = json_array();
		json_object_set_new(mk.types, name, types);
	}
	list_type(types, type);
	if (!c) {
		c = json_pack("{s:s, s:[]}", "name", name, "types");
		json_array_append_new(columns, c);
	}
	list_type(json_object_get(c, "types"), type);
}

static const char *type_of(const struct jscan *s, enum jscan_token t)
{
	int64_t i;

	switch (t) {
	case JSCAN_STRING:
		return "string";
	case JSCAN_NUMBER:
		return !s->tok_integer ? "number" : str_to_i64(s->tok, &i) ? "bignum" : "integer";
	case JSCAN_TRUE:
	case JSCAN_FALSE:
		return "boolean";
	case JSCAN_OBJECT:
		return "object";
	case JSCAN_ARRAY:
		return "array";
	default:
		return NULL;
	}
}

#define DEPTH_MAX 16
#define PATHS_MAX 4000

static size_t n_paths;

/* The value that begins with token t, at the path in name: its type, and those of what is in it, as the door lists them. false: it has none. */
static bool see_value(struct jscan *s, enum jscan_token t, struct buf *name, unsigned depth)
{
	size_t at = name->len;
	bool any = false;
	const char *type = type_of(s, t);

	if (t == JSCAN_STRING && json_is_true(json_object_get(timed, buf_cstr(name))))
		type = "timestamp";
	if (type && (depth == 1 || (depth <= DEPTH_MAX && n_paths < PATHS_MAX))) {
		n_paths += depth > 1 && !column_named(buf_cstr(name));
		saw(buf_cstr(name), type);
	}
	if (t != JSCAN_OBJECT && t != JSCAN_ARRAY)
		return type != NULL;
	if (shallow || depth >= DEPTH_MAX) {
		if (jscan_skip(s) < 0)
			die("bad data: %s", s->error);
		return true;
	}
	while ((t = jscan_next(s)) != JSCAN_OBJECT_END && t != JSCAN_ARRAY_END) {
		if (t < 0)
			die("bad data: %s", s->error);
		buf_addc(name, t == JSCAN_KEY ? '\1' : '\2');
		if (t == JSCAN_KEY) {
			jscan_unescape(s->tok, name);
			t = jscan_next(s);
		}
		any |= see_value(s, t, name, depth + 1);
		buf_truncate(name, at);
	}
	if (any)
		return true;
	buf_addc(name, t == JSCAN_OBJECT_END ? '\1' : '\2');
	if (!column_named(buf_cstr(name)))
		json_array_append_new(columns, json_pack("{s:s, s:[]}", "name", buf_cstr(name), "types"));
	buf_truncate(name, at);
	return true;
}

static void see_types(struct str data)
{
	struct jscan s;
	enum jscan_token t;
	struct buf name = BUF_INIT;

	jscan_init(&s, data.ptr, data.len, 0);
	if (jscan_next(&s) != JSCAN_OBJECT)
		die("data is no object: %.*s", (int)data.len, data.ptr);
	while ((t = jscan_next(&s)) == JSCAN_KEY) {
		buf_truncate(&name, 0);
		jscan_unescape(s.tok, &name);
		t = jscan_next(&s);
		see_value(&s, t, &name, 1);
	}
	if (t != JSCAN_OBJECT_END)
		die("bad data: %s", s.error ? s.error : "?");
	buf_free(&name);
}

static void end_entry(void)
{
	char *k, *t, *types;
	json_t *name = json_string(table);
	struct buf text = BUF_INIT;

	if (mk.open) {
		k = json_dumps(keys, JSON_COMPACT);
		t = json_dumps(name, JSON_ENCODE_ANY);
		types = json_dumps(mk.types, JSON_COMPACT);
		buf_addf(&text, "{\"source\":%" PRId64 ",\"table\":%s,\"key_names\":%s,\"schema\":null,\"types\":%s,\"table_version\":%" PRId64 ",\"received_at\":%" PRId64 "}\n",
			source_id, t, k, types, mk.version, mk.received);
		buf_addstr(&text, buf_str(&mk.text));
		frame_index(&mk.entry, 1, &mk.file);
		frame_compress(mk.ctx, buf_str(&text), 1, &mk.file);
		free(k);
		free(t);
		free(types);
	}
	json_decref(name);
	json_decref(mk.types);
	mk.types = NULL;
	buf_free(&text);
	buf_truncate(&mk.text, 0);
	mk.open = false;
}

static void begin_entry(uint64_t offset, int64_t received)
{
	end_entry();
	if (mk.first < 0)
		mk.first = (int64_t)offset;
	mk.entry = (struct frame_entry){.offset = offset, .received_at = received, .parts = 1, .request_id = STR("test")};
	mk.received = received;
	mk.types = json_object();
	mk.open = true;
}

static void add_record(const char *sequence, const char *extracted, const char *data)
{
	if (!mk.open)
		die("a record outside an entry");
	buf_addf(&mk.text, "{\"action\":\"%s\",\"sequence\":%s", data ? "upsert" : "activate_version", sequence);
	if (extracted)
		buf_addf(&mk.text, ",\"time_extracted\":\"%s\"", extracted);
	if (data) {
		see_types(str_c(data));
		buf_addf(&mk.text, ",\"data\":%s", data);
		mk.records++;
		mk.entry.records++;
	}
	buf_adds(&mk.text, "}\n");
	mk.entry.lines++;
	mk.lines++;
}

static void begin_batch(const char *name, int64_t version, int64_t partition)
{
	struct batch *b = &batches[n_batches++];
	char id[40];

	if (n_batches == BATCHES_MAX)
		die("too many batches");
	mk.version = version;
	mk.first = -1;
	mk.records = mk.lines = 0;
	if (!mk.ctx)
		mk.ctx = frame_ctx_new();
	snprintf(b->name, sizeof(b->name), "%s", name);
	snprintf(id, sizeof(id), "%016" PRIx64 "%016" PRIx64, str_hash(str_c(name)), str_hash(str_c(table)));
	b->params = json_pack("{s:s, s:s, s:I, s:I, s:I}", "id", id, "queue_id", queue, "partition", (json_int_t)partition, "table_version", (json_int_t)version, "cut_at",
		(json_int_t)BASE_NS);
}

static void hash_file(const struct buf *file, struct batch *b)
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	struct buf hex = BUF_INIT;

	if (!EVP_Digest(file->data, file->len, sum, NULL, EVP_sha256(), NULL))
		die("sha256");
	buf_add_hex(&hex, sum, 32);
	json_object_set_new(b->params, "sha256", json_string(buf_cstr(&hex)));
	buf_free(&hex);
}

static void end_batch(void)
{
	struct batch *b = &batches[n_batches - 1];

	end_entry();
	b->fd = memfd_create(b->name, MFD_CLOEXEC);
	if (b->fd < 0 || write(b->fd, mk.file.data, mk.file.len) != (ssize_t)mk.file.len)
		die("memfd: %s", errno_text(errno));
	json_object_set_new(b->params, "first", json_integer(mk.first));
	json_object_set_new(b->params, "last", json_integer((json_int_t)mk.entry.offset));
	json_object_set_new(b->params, "records", json_integer(mk.records));
	json_object_set_new(b->params, "lines", json_integer(mk.lines));
	json_object_set_new(b->params, "bytes", json_integer((json_int_t)mk.file.len));
	hash_file(&mk.file, b);
	b->columns = json_deep_copy(columns);
	buf_truncate(&mk.file, 0);
}

static void generate(int64_t n)
{
	struct buf b = BUF_INIT;
	char seq[32];

	for (int64_t k = 0; k < n; k++) {
		if (k % 100 == 0)
			begin_entry((uint64_t)(k / 100), BASE_NS + k);
		buf_truncate(&b, 0);
		buf_addf(&b, "{\"id\":%" PRId64 ",\"name\":\"customer number %" PRId64 "\",\"price\":%" PRId64 ".%02d,\"count\":%d,\"ok\":%s,\"city\":\"Wien\",\"note\":null,"
			     "\"ratio\":0.%03d,\"code\":\"X-%06" PRId64 "\",\"big\":%" PRId64 "}",
			k, k, k % 977, (int)(k % 100), (int)(k % 17), k % 2 ? "true" : "false", (int)(k % 1000), k % 1000000, k * 1000003);
		snprintf(seq, sizeof(seq), "%" PRId64, BASE_NS + k);
		if (k < 3) {
			add_record(seq, NULL, buf_cstr(&b));
			continue;
		}
		buf_addf(&mk.text, "{\"action\":\"upsert\",\"sequence\":%s,\"data\":%s}\n", seq, buf_cstr(&b));
		mk.entry.lines++;
		mk.entry.records++;
		mk.records++;
		mk.lines++;
	}
	buf_free(&b);
}

static struct batch *batch_named(const char *name)
{
	for (size_t k = 0; k < n_batches; k++)
		if (strcmp(batches[k].name, name) == 0)
			return &batches[k];
	die("no batch %s", name);
}

static void flip(const char *name, long at)
{
	struct batch *b = batch_named(name);
	struct stat st;
	char c;

	if (fstat(b->fd, &st) || at >= st.st_size || pread(b->fd, &c, 1, at) != 1)
		die("flip %s %ld", name, at);
	c = (char)(c ^ 4);
	if (pwrite(b->fd, &c, 1, at) != 1)
		die("flip: %s", errno_text(errno));
}

/* --- the loader --- */

static void spawn_loader(char *path)
{
	char *argv[] = {path, NULL}, *envp[] = {NULL};
	posix_spawn_file_actions_t fa;
	int sp[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sp))
		die("socketpair: %s", errno_text(errno));
	posix_spawn_file_actions_init(&fa);
	if (posix_spawn_file_actions_adddup2(&fa, sp[1], 3) || posix_spawn(&child, path, &fa, NULL, argv, envp))
		die("cannot start %s", path);
	posix_spawn_file_actions_destroy(&fa);
	close(sp[1]);
	sock = sp[0];
	buf_truncate(&in.in, 0);
	in.done = 0;
	in.seen = 0;
}

static void reap(void)
{
	int status = 0;

	if (child > 0 && waitpid(child, &status, 0) == child)
		printf("ended %s %d\n", WIFSIGNALED(status) ? "signal" : "status", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	child = -1;
	if (sock >= 0)
		close(sock);
	sock = -1;
}

static void send_line(struct buf *line, const int *fds, size_t n)
{
	struct iovec iov = {.iov_base = line->data, .iov_len = line->len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(BATCHES_MAX * sizeof(int))];
	} control = {.room = {0}};
	size_t done = 0;

	if (n) {
		struct cmsghdr *cm;

		mh.msg_control = control.room;
		mh.msg_controllen = CMSG_SPACE(n * sizeof(int));
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(cm), fds, n * sizeof(int));
	}
	while (done < line->len) {
		ssize_t w = sendmsg(sock, &mh, MSG_NOSIGNAL);

		if (w < 0 && errno == EPIPE)
			break;
		if (w < 0)
			die("sendmsg: %s", errno_text(errno));
		done += (size_t)w;
		mh.msg_control = NULL;
		mh.msg_controllen = 0;
		iov.iov_base = line->data + done;
		iov.iov_len = line->len - done;
	}
	buf_free(line);
}

static bool quiet;

static void print(const char *what, json_t *v)
{
	char *s;

	if (quiet)
		return;
	s = json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
	printf("%s %s\n", what, s ? s : "?");
	fflush(stdout);
	free(s);
}

static void answer_reject(struct rpc_msg *m)
{
	struct buf line = BUF_INIT;
	json_t *r;
	size_t k;

	json_array_foreach(json_object_get(m->params, "rejects"), k, r)
	{
		print("reject", r);
	}
	if (on_reject == ON_KILL) {
		kill(child, SIGKILL);
		return;
	}
	if (on_reject == ON_FAIL)
		rpc_error(&line, m->id, RPC_FAILED, "the disk is full", NULL);
	else
		rpc_result(&line, m->id, NULL);
	send_line(&line, NULL, 0);
}

/* Reads until the answer to id; false: the loader is gone. */
static bool await(int64_t id)
{
	struct err e = ERR_INIT;

	for (;;) {
		struct rpc_msg m = {NULL};
		struct str line;
		int rc = rpc_lines_next(&in, &line, &e);
		ssize_t n;

		if (rc < 0 || (rc > 0 && rpc_parse(line, &m, &e)))
			die("%s", e.text);
		if (rc == 0) {
			struct pollfd p = {.fd = sock, .events = POLLIN};

			if (kill_after && poll(&p, 1, (int)kill_after) == 0)
				kill(child, SIGKILL);
			kill_after = 0;
			buf_reserve(&in.in, 65536);
			n = recv(sock, in.in.data + in.in.len, 65536, 0);
			if (n <= 0) {
				printf("gone\n");
				reap();
				return false;
			}
			in.in.len += (size_t)n;
			continue;
		}
		if (m.method && strcmp(m.method, "load.reject") == 0) {
			answer_reject(&m);
		} else if (!m.method && json_integer_value(m.id) == id) {
			print(m.error ? "error" : "result", m.error ? m.error : m.result);
			rpc_msg_free(&m);
			return true;
		} else if (m.method && strcmp(m.method, "load.progress") == 0) {
			fprintf(stderr, "progress\n");
		} else {
			die("unexpected message");
		}
		rpc_msg_free(&m);
	}
}

static void ask(const char *method, json_t *params, const int *fds, size_t n)
{
	struct buf line = BUF_INIT;

	if (sock < 0)
		die("no loader to say %s to", method);
	rpc_request(&line, ++last_id, method, params);
	json_decref(params);
	send_line(&line, fds, n);
}

static void call(const char *method, json_t *params, const int *fds, size_t n)
{
	ask(method, params, fds, n);
	await(last_id);
}

static json_t *load_time(void)
{
	return json_integer(BASE_NS + load_id * NSEC_PER_MSEC);
}

static json_t *job(void)
{
	json_t *p = json_pack("{s:I, s:I, s:s, s:I, s:s, s:s, s:O, s:I, s:s, s:O}", "load", (json_int_t)++load_id, "attempt", (json_int_t)attempt, "source", source, "source_id",
		(json_int_t)source_id, "schema", schema, "table", table, "key_names", keys, "schema_version", (json_int_t)1, "queue_id", queue, "columns", columns);

	if (!p)
		die("cannot build the job");
	json_object_set_new(p, "load_time", load_time());
	return p;
}

static void start(char *names)
{
	json_t *p = job(), *list = json_array();
	int fds[BATCHES_MAX];
	size_t n = 0;
	struct batch *last = NULL;
	char *save;

	for (char *name = strtok_r(names, " ", &save); name; name = strtok_r(NULL, " ", &save)) {
		struct batch *bt = batch_named(name);

		last = bt > last ? bt : last;
		fds[n++] = bt->fd;
		json_array_append(list, bt->params);
	}
	json_object_set_new(p, "batches", list);
	if (history && last)
		json_object_set(p, "columns", last->columns);
	if (dry_run)
		json_object_set_new(p, "dry_run", json_true());
	ask("load.start", p, fds, n);
}

static void load(char *names)
{
	struct timespec a, b;

	clock_gettime(CLOCK_MONOTONIC, &a);
	start(names);
	await(last_id);
	clock_gettime(CLOCK_MONOTONIC, &b);
	fprintf(stderr, "load took %.3f s\n", (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9);
}

static void discard(const char *name)
{
	json_t *p = json_pack("{s:s, s:s, s:I, s:s, s:s, s:O}", "schema", schema, "table", table, "source_id", (json_int_t)source_id, "source", source, "queue_id", queue, "batch",
		batch_named(name)->params);

	json_object_set_new(p, "load_time", load_time());
	call("load.discard", p, NULL, 0);
}

static json_t *parse(const char *text)
{
	json_error_t je;
	json_t *v = json_loads(text && *text ? text : "{}", JSON_DECODE_ANY, &je);

	if (!v)
		die("bad JSON in the script: %s: %s", je.text, text);
	return v;
}

static json_t *list_of(char *words)
{
	json_t *list = json_array();
	char *save;

	for (char *w = strtok_r(words, ",", &save); w; w = strtok_r(NULL, ",", &save))
		json_array_append_new(list, json_string(w));
	return list;
}

/* --- the script --- */

static char *word(char **rest)
{
	char *w = *rest, *end;

	if (!w || !*w)
		return (char *)(uintptr_t) "";
	end = strchr(w, ' ');
	if (end)
		*end++ = '\0';
	*rest = end;
	return w;
}

static int64_t number_or(const char *s, int64_t or)
{
	int64_t v = or;

	if (*s && str_to_i64(str_c(s), &v))
		die("not a number: %s", s);
	return v;
}

static void declare(const char *written, char *types)
{
	struct buf path = BUF_INIT;
	const char *field;
	json_t *c;

	for (const char *p = written; *p; p++) {
		if (*p == '.')
			buf_addc(&path, '\1');
		else if (*p == '[' && p[1] == ']')
			buf_addc(&path, *p++ == '[' ? '\2' : 0);
		else
			buf_addc(&path, *p);
	}
	field = buf_cstr(&path);
	c = column_named(field);
	if (!c) {
		c = json_pack("{s:s}", "name", field);
		json_array_append_new(columns, c);
	}
	json_object_set_new(c, "types", list_of(types));
	json_object_set_new(c, "declared", json_true());
	buf_free(&path);
}

static bool building(const char *verb, char *rest)
{
	if (strcmp(verb, "batch") == 0) {
		const char *name = word(&rest);
		int64_t version = number_or(word(&rest), 0);

		begin_batch(name, version, number_or(word(&rest), 0));
	} else if (strcmp(verb, "entry") == 0) {
		uint64_t offset = (uint64_t)number_or(word(&rest), 0);

		begin_entry(offset, number_or(word(&rest), BASE_NS));
	} else if (strcmp(verb, "rec") == 0) {
		const char *seq = word(&rest);

		add_record(seq, NULL, rest);
	} else if (strcmp(verb, "recx") == 0) {
		const char *seq = word(&rest), *extracted = word(&rest);

		add_record(seq, extracted, rest);
	} else if (strcmp(verb, "activate") == 0) {
		add_record(rest, NULL, NULL);
	} else if (strcmp(verb, "gen") == 0) {
		generate(number_or(rest, 0));
	} else if (strcmp(verb, "end") == 0) {
		end_batch();
	} else {
		return false;
	}
	return true;
}

static bool setting(const char *verb, char *rest)
{
	if (strcmp(verb, "table") == 0) {
		set(&table, word(&rest));
		json_decref(keys);
		keys = rest ? list_of(rest) : json_array();
		json_array_clear(columns);
	} else if (strcmp(verb, "source") == 0) {
		set(&source, word(&rest));
		source_id = number_or(rest ? rest : "", 1);
	} else if (strcmp(verb, "schema") == 0) {
		set(&schema, strcmp(rest, "-") == 0 ? "" : rest);
	} else if (strcmp(verb, "queue") == 0) {
		set(&queue, rest);
	} else if (strcmp(verb, "attempt") == 0) {
		attempt = number_or(rest, 1);
	} else if (strcmp(verb, "load-id") == 0) {
		load_id = number_or(rest, 1) - 1;
	} else if (strcmp(verb, "kill-after") == 0) {
		kill_after = number_or(rest, 0);
	} else if (strcmp(verb, "forget") == 0) {
		json_array_clear(columns);
	} else if (strcmp(verb, "shallow") == 0) {
		shallow = true;
	} else if (strcmp(verb, "timed") == 0) {
		const char *field = word(&rest);

		json_object_set_new(timed, field, json_boolean(strcmp(rest, "on") == 0));
	} else if (strcmp(verb, "history") == 0) {
		history = true;
	} else if (strcmp(verb, "declare") == 0) {
		const char *field = word(&rest);

		declare(field, rest);
	} else if (strcmp(verb, "on-reject") == 0) {
		on_reject = strcmp(rest, "kill") == 0 ? ON_KILL : strcmp(rest, "fail") == 0 ? ON_FAIL : ON_ANSWER;
	} else if (strcmp(verb, "flip") == 0) {
		const char *name = word(&rest);

		flip(name, number_or(rest, 0));
	} else if (strcmp(verb, "lie") == 0) {
		struct batch *b = batch_named(word(&rest));
		const char *key = word(&rest);

		json_object_set_new(b->params, key, parse(rest));
	} else {
		return false;
	}
	return true;
}

static void print_peak(void)
{
	char path[64], line[256];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/status", (long)child);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, "VmHWM:", 6) == 0)
			printf("peak %ld\n", strtol(line + 6, NULL, 10));
	if (f)
		fclose(f);
	fflush(stdout);
}

static void run(const char *verb, char *rest)
{
	if (building(verb, rest) || setting(verb, rest))
		return;
	if (strcmp(verb, "spawn") == 0) {
		spawn_loader(rest);
	} else if (strcmp(verb, "open") == 0) {
		call("loader.open", json_pack("{s:i, s:s, s:o}", "protocol", RPC_PROTOCOL, "destination", "test", "settings", parse(rest)), NULL, 0);
	} else if (strcmp(verb, "load") == 0) {
		load(rest);
	} else if (strcmp(verb, "dry") == 0) {
		dry_run = true;
		load(rest);
		dry_run = false;
	} else if (strcmp(verb, "start") == 0) {
		start(rest);
	} else if (strcmp(verb, "await") == 0) {
		await(last_id);
	} else if (strcmp(verb, "hangup") == 0) {
		close(sock);
		sock = -1;
		reap();
	} else if (strcmp(verb, "discard") == 0) {
		discard(rest);
	} else if (strcmp(verb, "sample") == 0) {
		call("table.sample", json_pack("{s:s, s:s, s:I}", "schema", schema, "table", table, "rows", (json_int_t)number_or(rest, 10)), NULL, 0);
	} else if (strcmp(verb, "check") == 0) {
		call("loader.check", json_object(), NULL, 0);
	} else if (strcmp(verb, "call") == 0) {
		const char *method = word(&rest);

		call(method, parse(rest), NULL, 0);
	} else if (strcmp(verb, "kill") == 0) {
		kill(child, SIGKILL);
		reap();
	} else if (strcmp(verb, "peak") == 0) {
		print_peak();
	} else if (strcmp(verb, "eof") == 0) {
		shutdown(sock, SHUT_RDWR);
		reap();
	} else if (strcmp(verb, "close") == 0) {
		call("loader.close", json_object(), NULL, 0);
		reap();
	} else {
		die("unknown command %s", verb);
	}
}

int main(void)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	set(&source, "shop");
	set(&schema, "shop");
	set(&table, "t");
	set(&queue, "00112233445566778899aabbccddeeff");
	keys = json_array();
	columns = json_array();
	timed = json_object();
	while ((n = getline(&line, &cap, stdin)) > 0) {
		char *rest = line, *verb;

		while (n > 0 && line[n - 1] == '\n')
			line[--n] = '\0';
		while (*rest == ' ' || *rest == '\t')
			rest++;
		if (!*rest || *rest == '#')
			continue;
		verb = word(&rest);
		run(verb, rest);
	}
	/* politely, so that a sanitizer in it can say what leaked */
	quiet = true;
	if (child > 0)
		run("close", (char *)(uintptr_t) "");
	for (size_t k = 0; k < n_batches; k++) {
		json_decref(batches[k].params);
		json_decref(batches[k].columns);
		close(batches[k].fd);
	}
	frame_ctx_free(mk.ctx);
	buf_free(&mk.file);
	buf_free(&mk.text);
	buf_free(&in.in);
	json_decref(keys);
	json_decref(columns);
	json_decref(timed);
	free(source);
	free(schema);
	free(table);
	free(queue);
	free(line);
	return 0;
}
