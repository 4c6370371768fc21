/*
 * main.c - stitchd: options, config, start, signals, stop. The main thread waits for signals and ticks once a second; all work is done by the
 * stages' threads. When state.db had a failed write the process stops everything and executes itself anew, so that the next start opens cold
 * (sqlite-durability.md).
 */
#include "daemon/config.h"

#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/app.h"
#include "daemon/core/crashpoint.h"
#include "daemon/core/now.h"
#include "daemon/notify.h"
#include "log.h"
#include "version.h"
#include "xalloc.h"

enum { OPT_CHECK = 256, OPT_VERSION, OPT_CONFIG };

struct flags {
	const char *config_path;
	bool check;
	struct {
		const char *key, *value;
	} set[64];
	unsigned n_set;
};

static void usage(FILE *to)
{
	struct buf b = BUF_INIT;

	conf_help(config_keys, config_keys_len, &b);
	fprintf(to,
		"Usage: stitchd [--config FILE] [--state-dir DIR] [--http ADDRESS:PORT] [--socket PATH]\n"
		"               [--queue URL] [--store URL] [--SETTING VALUE]... [--check-config]\n"
		"The daemon of the stitch data pipeline: takes records, queues, batches and loads them.\n\n"
		"  --config FILE     read settings (key = value) from FILE; flags override it\n"
		"  --check-config    read everything, say what is wrong, start nothing\n"
		"  --help, --version\n\n"
		"Settings, each also a flag (--batch-size 16M):\n%s",
		buf_cstr(&b));
	buf_free(&b);
}

/* "--state-dir" is the setting state_dir */
static const char *setting_of_flag(const char *flag)
{
	static char name[64];
	size_t n = 0;

	for (; flag[n] && n + 1 < sizeof(name); n++)
		name[n] = flag[n] == '-' ? '_' : flag[n];
	name[n] = '\0';
	for (size_t i = 0; i < config_keys_len; i++)
		if (strcmp(config_keys[i].name, name) == 0)
			return config_keys[i].name;
	return NULL;
}

/* 0 go on, 1 done (help, version), -1 usage error */
static int parse_flags(int argc, char **argv, struct flags *f)
{
	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i], *value = NULL, *key, *eq;
		char *name;

		if (strncmp(arg, "--", 2) != 0) {
			fprintf(stderr, "stitchd: unexpected argument \"%s\" (try --help)\n", arg);
			return -1;
		}
		eq = strchr(arg, '=');
		name = xstrndup(arg + 2, eq ? (size_t)(eq - arg - 2) : strlen(arg + 2));
		if (strcmp(name, "help") == 0 || strcmp(name, "version") == 0) {
			if (name[0] == 'h')
				usage(stdout);
			else
				puts("stitchd " STITCH_VERSION);
			free(name);
			return 1;
		}
		if (strcmp(name, "check-config") == 0) {
			f->check = true;
			free(name);
			continue;
		}
		value = eq ? eq + 1 : i + 1 < argc ? argv[++i] : NULL;
		key = setting_of_flag(name);
		if (!key && strcmp(name, "config") != 0) {
			fprintf(stderr, "stitchd: %s: no such option (try --help)\n", arg);
			free(name);
			return -1;
		}
		if (!value || f->n_set == ARRAY_LEN(f->set)) {
			fprintf(stderr, value ? "stitchd: %s: too many options; put settings into a file (--config)\n" : "stitchd: %s: needs a value\n", arg);
			free(name);
			return -1;
		}
		if (!key) {
			f->config_path = value;
		} else {
			f->set[f->n_set].key = key;
			f->set[f->n_set++].value = value;
		}
		free(name);
	}
	return 0;
}

static int load_config(struct config *c, const struct flags *f, struct err *e)
{
	if (config_load(c, f->config_path, e))
		return -1;
	for (unsigned i = 0; i < f->n_set; i++)
		if (conf_set(config_keys, config_keys_len, c, f->set[i].key, str_c(f->set[i].value), e))
			return -1;
	return config_finish(c, e);
}

static void setup_log(const struct config *c)
{
	enum log_level level = strcmp(c->log_level, "error") == 0 ? LOG_LVL_ERR : strcmp(c->log_level, "warn") == 0 ? LOG_LVL_WARN : strcmp(c->log_level, "debug") == 0 ? LOG_LVL_DEBUG : LOG_LVL_INFO;
	enum log_format fmt = LOG_FMT_TEXT;

	if (strcmp(c->log_format, "json") == 0)
		fmt = LOG_FMT_JSON;
	else if (strcmp(c->log_format, "journal") == 0 || (strcmp(c->log_format, "auto") == 0 && getenv("JOURNAL_STREAM")))
		fmt = LOG_FMT_JOURNAL;
	log_setup(level, fmt);
	log_context("main");
}

/* SIGHUP: the certificate is read again, the level of the log is taken; what else has changed is told. Anything wrong leaves all as it was. */
static void reload(struct app *a, const struct flags *f)
{
	struct buf now = BUF_INIT, later = BUF_INIT;
	struct config c = {NULL};
	struct err e = ERR_INIT;

	if (load_config(&c, f, &e) || import_reload_tls(a->import, c.tls_cert, c.tls_key, &e)) {
		log_err("SIGHUP: nothing is changed: %s", e.text);
	} else {
		config_compare(a->config, &c, &now, &later);
		setup_log(&c);
		log_info("SIGHUP: settings%s are read again%s%s", import_port_tls(a->import) ? " and certificate" : "",
			later.len ? "; only a restart changes" : "", buf_cstr(&later));
	}
	buf_free(&now);
	buf_free(&later);
	config_free(&c);
}

/* Wait for a signal to end, ticking once a second. Returns the signal, or 0 when state.db asks for a new start. */
static int wait_for_end(struct app *a, const sigset_t *set, const struct flags *f)
{
	int64_t every = notify_watchdog_interval();
	struct timespec tick = {.tv_sec = 1};

	if (every && every < NSEC_PER_SEC)
		tick = (struct timespec){.tv_nsec = (long)every};
	for (;;) {
		int sig = sigtimedwait(set, NULL, &tick);

		if (sig == SIGHUP) {
			reload(a, f);
			continue;
		}
		if (sig > 0)
			return sig;
		if (!app_tick(a))
			return 0;
		if (every)
			notify_send("WATCHDOG=1");
	}
}

static int run(const struct config *c, const struct flags *f, char **argv)
{
	struct app app;
	struct err e = ERR_INIT;
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	/* blocked before any thread is made, so that all inherit it */
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (app_start(&app, c, &e)) {
		log_err("cannot start: %s", e.text);
		return 1;
	}
	log_info("stitchd %s is ready: http port %u, socket %s, state %s", STITCH_VERSION, import_port(app.import), c->socket, c->state_dir);
	notify_send("READY=1\nSTATUS=http port %u", import_port(app.import));
	sig = wait_for_end(&app, &set, f);
	if (sig) {
		log_info("%s: stopping", sig == SIGINT ? "SIGINT" : "SIGTERM");
		notify_send("STOPPING=1");
		app_stop(&app, now_get().mono + c->stop_timeout);
		log_info("stopped");
		return 0;
	}
	log_err("a write of state.db failed: starting anew");
	app_stop(&app, now_get().mono + 2 * NSEC_PER_SEC);
	/* a disk that refuses everything must not make a busy loop */
	nanosleep(&(struct timespec){.tv_nsec = 200 * NSEC_PER_MSEC}, NULL);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	execv("/proc/self/exe", argv);
	log_err("cannot execute itself: %s", errno_text(errno));
	return 1;
}

int main(int argc, char **argv)
{
	struct config c = {NULL};
	struct flags f = {NULL};
	struct err e = ERR_INIT;
	int rc = parse_flags(argc, argv, &f);

	if (rc)
		return rc > 0 ? 0 : 2;
	if (load_config(&c, &f, &e)) {
		fprintf(stderr, "stitchd: %s\n", e.text);
		config_free(&c);
		return f.check ? 1 : 2;
	}
	if (f.check) {
		puts("The configuration is good.");
		config_free(&c);
		return 0;
	}
	setup_log(&c);
	/* bodies, frames and batches go back to the system at once: memory_limit is about what the process has, not about what it uses */
	mallopt(M_MMAP_THRESHOLD, 256 << 10);
	crashpoint_setup();
	rc = run(&c, &f, argv);
	config_free(&c);
	return rc;
}
