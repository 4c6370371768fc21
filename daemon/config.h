/*
 * config.h (daemon) - every setting of stitchd in one table: the file, the flags, `--help` and stitchd.conf(5) are made from it.
 * Plain data, owned by main; read-only for everyone else after start.
 */
#ifndef STITCH_DAEMON_CONFIG_H
#define STITCH_DAEMON_CONFIG_H

#include "base.h"
#include "conf.h"

struct config {
	char *store_access_key, *store_secret_key, *store_session_token;
	char *name, *state_dir, *http, *socket, *queue, *store, *log_level, *log_format, *libexec, *https, *tls_cert, *tls_key;
	uint64_t memory_limit, reserve, local_spool, segment_bytes, batch_bytes, load_bytes, body_max, queue_keep_bytes, batch_keep_bytes;
	int64_t batch_age, idle_cut_delay, queue_keep, batch_keep, event_keep, audit_keep, job_keep, reject_keep, request_timeout, stop_timeout;
	int64_t backoff_first, backoff_max, heartbeat, retention_interval;
	int64_t http_threads, connections_max, connections_per_address, loaders, events_max, audit_max, rejects_max;
};

extern const struct conf_key config_keys[];
extern const size_t config_keys_len;

/* Defaults, then the file (NULL: none). Flags are set by the caller with conf_set afterwards, then config_finish. */
int config_load(struct config *c, const char *path, struct err *e) MUST_CHECK;
/* Fills what depends on other settings (state folder, socket) and checks what one table line cannot. */
int config_finish(struct config *c, struct err *e) MUST_CHECK;
/* Which settings differ, told by name: in `reload` those that SIGHUP takes, and in `restart` the others. With blanks between. */
void config_compare(const struct config *a, const struct config *b, struct buf *reload, struct buf *restart);
void config_free(struct config *c);

#endif
