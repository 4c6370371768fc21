/*
 * config.c - the table of settings. A value that depends on another (the socket lies in the state folder) has no default in the table and
 * is filled by config_finish. Bounds are generous: they catch a wrong unit, not a taste.
 */
#include "daemon/config.h"

#include "xalloc.h"

#define SEC NSEC_PER_SEC
#define DAY (86400 * NSEC_PER_SEC)
#define MIB (INT64_C(1) << 20)
#define AT(member) offsetof(struct config, member)

const struct conf_key config_keys[] = {
	{"name", CONF_STRING, "stitch", 0, 0, AT(name), false, "name of this install, shown in the console"},
	{"state_dir", CONF_STRING, NULL, 0, 0, AT(state_dir), false, "folder of everything that must survive"},
	{"http", CONF_STRING, "127.0.0.1:8080", 0, 0, AT(http), false, "address and port of the Import API; port 0 takes a free one"},
	{"https", CONF_STRING, NULL, 0, 0, AT(https), false, "address and port of the Import API with TLS (1.2 or later), beside http; needs tls_cert and tls_key"},
	{"tls_cert", CONF_STRING, NULL, 0, 0, AT(tls_cert), true, "PEM file of the certificate, with those between it and the root"},
	{"tls_key", CONF_STRING, NULL, 0, 0, AT(tls_key), true, "PEM file of its private key"},
	{"socket", CONF_STRING, NULL, 0, 0, AT(socket), false, "control socket; default STATE_DIR/control.sock"},
	{"queue", CONF_STRING, "log:", 0, 0, AT(queue), false, "queue URL: log:DIR"},
	{"store", CONF_STRING, "dir:", 0, 0, AT(store), false, "store URL: dir:PATH, or s3://BUCKET/PREFIX?endpoint=URL&region=NAME&style=path|host&sse=HOW"},
	{"store_access_key", CONF_STRING, NULL, 0, 0, AT(store_access_key), false, "access key of a store in S3; else AWS_ACCESS_KEY_ID of the environment"},
	{"store_secret_key", CONF_STRING, NULL, 0, 0, AT(store_secret_key), false, "its secret, as @FILE; else AWS_SECRET_ACCESS_KEY"},
	{"store_session_token", CONF_STRING, NULL, 0, 0, AT(store_session_token), false, "its session token, as @FILE; else AWS_SESSION_TOKEN"},
	{"log_level", CONF_STRING, "info", 0, 0, AT(log_level), true, "error, warn, info or debug"},
	{"log_format", CONF_STRING, "auto", 0, 0, AT(log_format), false, "text, json or journal; auto looks at the environment"},
	{"libexec", CONF_STRING, NULL, 0, 0, AT(libexec), false, "folder of the loader programs"},
	{"memory_limit", CONF_BYTES, "256M", 128 * MIB, INT64_MAX, AT(memory_limit), false, "memory that stitchd may use, at least 128M; beyond it the door answers 503"},
	{"reserve", CONF_BYTES, "0", 0, 0, AT(reserve), false, "free disk that the door leaves; 0: max(256M, 5 %), at most a quarter of the disk"},
	{"http_threads", CONF_INT, "0", 0, 64, AT(http_threads), false, "threads of the door; 0: one per core"},
	{"connections_max", CONF_INT, "1000", 1, 100000, AT(connections_max), false, "open HTTP connections"},
	{"connections_per_address", CONF_INT, "0", 0, 100000, AT(connections_per_address), false, "of them from one address; 0: no limit"},
	{"body_max", CONF_BYTES, "20M", MIB, 20 * MIB, AT(body_max), false, "largest request body"},
	{"request_timeout", CONF_DURATION, "60s", SEC, 3600 * SEC, AT(request_timeout), false, "an idle or unanswered request ends after this"},
	{"queue_segment", CONF_BYTES, "64M", MIB, 4096 * MIB, AT(segment_bytes), false, "size of a segment file of the log"},
	{"local_spool", CONF_BYTES, "0", 0, INT64_MAX, AT(local_spool), false, "what arrives while the queue is away is kept on the local disk up to this size (202); 0: it is answered 503"},
	{"queue_keep", CONF_DURATION, "7d", 0, 3650 * DAY, AT(queue_keep), false, "queue records are kept this long after all destinations have them"},
	{"queue_keep_size", CONF_BYTES, "0", 0, 0, AT(queue_keep_bytes), false, "loaded queue records go earlier above this size; 0: no limit"},
	{"batch_size", CONF_BYTES, "8M", 65536, 1024 * MIB, AT(batch_bytes), false, "a batch is cut at this compressed size"},
	{"batch_age", CONF_DURATION, "60s", SEC / 10, DAY, AT(batch_age), false, "a batch is cut at this age"},
	{"idle_cut_delay", CONF_DURATION, "50ms", 0, 60 * SEC, AT(idle_cut_delay), false, "while a loader is idle a batch is cut this soon"},
	{"batch_keep", CONF_DURATION, "30d", 0, 3650 * DAY, AT(batch_keep), false, "batch files are kept this long after all destinations have them"},
	{"batch_keep_size", CONF_BYTES, "0", 0, 0, AT(batch_keep_bytes), false, "loaded batch files go earlier above this size; 0: no limit"},
	{"loaders", CONF_INT, "2", 1, 64, AT(loaders), false, "loader processes per destination"},
	{"load_size", CONF_BYTES, "64M", 65536, 4096 * MIB, AT(load_bytes), false, "compressed bytes of one load"},
	{"backoff_first", CONF_DURATION, "1s", SEC / 100, 3600 * SEC, AT(backoff_first), false, "first wait after a failed load"},
	{"backoff_max", CONF_DURATION, "10m", SEC / 10, DAY, AT(backoff_max), false, "longest wait between attempts"},
	{"heartbeat", CONF_DURATION, "120s", SEC, 3600 * SEC, AT(heartbeat), false, "a loader without progress for this long is killed"},
	{"event_keep", CONF_DURATION, "30d", 0, 3650 * DAY, AT(event_keep), false, "events are kept this long"},
	{"audit_keep", CONF_DURATION, "365d", 0, 36500 * DAY, AT(audit_keep), false, "the audit log is kept this long"},
	{"job_keep", CONF_DURATION, "30d", 0, 3650 * DAY, AT(job_keep), false, "ended jobs and the trash are kept this long"},
	{"reject_keep", CONF_DURATION, "90d", 0, 3650 * DAY, AT(reject_keep), false, "rejected records are kept this long"},
	{"events_max", CONF_INT, "100000", 100, 100000000, AT(events_max), false, "number of events kept"},
	{"audit_max", CONF_INT, "1000000", 100, 100000000, AT(audit_max), false, "number of audit entries kept"},
	{"rejects_max", CONF_INT, "1000000", 100, 100000000, AT(rejects_max), false, "number of rejected records kept; the oldest go first"},
	{"retention_interval", CONF_DURATION, "10s", SEC / 10, 3600 * SEC, AT(retention_interval), false, "how often retention looks"},
	{"stop_timeout", CONF_DURATION, "30s", SEC, 3600 * SEC, AT(stop_timeout), false, "a graceful stop ends after this"},
};
const size_t config_keys_len = ARRAY_LEN(config_keys);

int config_load(struct config *c, const char *path, struct err *e)
{
	if (conf_defaults(config_keys, config_keys_len, c, e))
		return -1;
	return path ? conf_read(config_keys, config_keys_len, c, path, e) : 0;
}

static int one_of(const char *what, const char *value, const char *const *allowed, struct err *e)
{
	for (; *allowed; allowed++)
		if (strcmp(value, *allowed) == 0)
			return 0;
	return err_set(e, ERR_INVALID, "%s: \"%s\" is not one of its values (see stitchd.conf(5))", what, value);
}

/* What is wrong is better said before anything is started: --check-config opens neither. mem: is for tests: a 2xx of such a queue would be no promise. */
static int check_urls(const struct config *c, struct err *e)
{
	const char *colon = strrchr(c->http, ':');
	uint64_t port;

	if (!colon || str_to_u64(str_c(colon + 1), &port) || port > 65535)
		return err_set(e, ERR_INVALID, "http: \"%s\" is not ADDRESS:PORT with a port from 0 to 65535", c->http);
	if (c->https && *c->https && (!c->tls_cert || !*c->tls_cert || !c->tls_key || !*c->tls_key))
		return err_set(e, ERR_INVALID, "https needs tls_cert and tls_key, the PEM files of a certificate and of its key");
	if (*c->queue && strncmp(c->queue, "log:", 4) != 0)
		return err_set(e, ERR_INVALID, "queue: this program knows log:DIR, not \"%s\"", c->queue);
	if (*c->store && strncmp(c->store, "dir:", 4) != 0 && strncmp(c->store, "s3://", 5) != 0)
		return err_set(e, ERR_INVALID, "store: this program knows dir:PATH and s3://BUCKET/PREFIX, not \"%s\"", c->store);
	return 0;
}

int config_finish(struct config *c, struct err *e)
{
	static const char *const levels[] = {"error", "warn", "info", "debug", NULL};
	static const char *const formats[] = {"auto", "text", "json", "journal", NULL};
	const char *env;

	if (one_of("log_level", c->log_level, levels, e) || one_of("log_format", c->log_format, formats, e))
		return -1;
	if (!c->state_dir) {
		env = getenv("STATE_DIRECTORY"); /* systemd's */
		c->state_dir = env && *env ? xstrdup(env) : xstrdup(LOCALSTATEDIR "/lib/stitch");
	}
	if (!c->socket) {
		env = getenv("STITCH_SOCKET");
		if (env && *env) {
			c->socket = xstrdup(env);
		} else {
			env = getenv("RUNTIME_DIRECTORY");
			c->socket = xasprintf("%s/control.sock", env && *env ? env : c->state_dir);
		}
	}
	if (strlen(c->socket) > 107)
		return err_set(e, ERR_INVALID, "socket: %s is longer than 107 bytes, the limit of Unix sockets; set a shorter one with --socket", c->socket);
	return check_urls(c, e);
}

static bool same(const struct conf_key *k, const struct config *a, const struct config *b)
{
	const char *p = (const char *)a + k->offset, *q = (const char *)b + k->offset;
	const char *s, *t;

	if (k->type == CONF_BOOL)
		return *(const bool *)p == *(const bool *)q;
	if (k->type != CONF_STRING)
		return memcmp(p, q, sizeof(int64_t)) == 0;
	memcpy(&s, p, sizeof(s));
	memcpy(&t, q, sizeof(t));
	return s && t ? strcmp(s, t) == 0 : s == t;
}

void config_compare(const struct config *a, const struct config *b, struct buf *reload, struct buf *restart)
{
	for (size_t i = 0; i < config_keys_len; i++)
		if (!same(&config_keys[i], a, b))
			buf_addf(config_keys[i].reload ? reload : restart, " %s", config_keys[i].name);
}

void config_free(struct config *c)
{
	conf_free(config_keys, config_keys_len, c);
}
