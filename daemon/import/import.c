/*
 * import.c - the door as a whole: its threads started and stopped. N libmicrohttpd daemons without a listening socket of their own (each one thread and
 * an epoll), one acceptor that feeds them. A stop goes in three steps: no new connections and no keep-alive; then what is still asleep at the
 * deadline is answered 503; then, when nothing is suspended any more (libmicrohttpd must not be stopped before), the threads end. The queue must
 * have been stopped, or have answered all puts, before import_free.
 */
#include "daemon/import/import_priv.h"
#include "daemon/import/tls.h"

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "file.h"
#include "log.h"
#include "xalloc.h"

struct import *import_new(const struct import_config *c, struct queue *q, struct state *state, struct err *e)
{
	struct import *im = xcalloc(1, sizeof(*im));

	im->c = *c;
	im->listen = xstrdup(c->listen ? c->listen : "127.0.0.1:8080");
	im->listen_tls = c->listen_tls && *c->listen_tls ? xstrdup(c->listen_tls) : NULL;
	im->port_file = c->port_file ? xstrdup(c->port_file) : NULL;
	im->state_dir = c->state_dir ? xstrdup(c->state_dir) : NULL;
	im->queue = q;
	im->state = state;
	im->c.body_max = c->body_max ? c->body_max : 20u << 20;
	im->c.bodies_max = MAX(c->bodies_max ? c->bodies_max : 64u << 20, im->c.body_max);
	im->tenant_max = MAX(im->c.bodies_max / 2, im->c.body_max);
	im->c.connections_max = c->connections_max ? c->connections_max : 1000;
	im->c.request_timeout = c->request_timeout ? c->request_timeout : 60 * NSEC_PER_SEC;
	atomic_store(&im->retry_after, 2);
	pthread_mutex_init(&im->lock, NULL);
	TAILQ_INIT(&im->asleep);
	TAILQ_INIT(&im->waiting);
	LIST_INIT(&im->conns);
	SLIST_INIT(&im->free_jobs);
	im->keyed = keyed_new();
	im->lane = lane_new();
	im->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (im->wake < 0) {
		err_errno(e, errno, "eventfd");
		import_free(im);
		return NULL;
	}
	return im;
}

/* What libmicrohttpd has to say is about clients' mistakes; it must not fill the log. */
static void mhd_log(void *arg, const char *fmt, va_list ap)
{
	char text[300];

	(void)arg;
	vsnprintf(text, sizeof(text), fmt, ap);
	log_debug("http: %.*s", (int)strcspn(text, "\n"), text);
}

static int start_worker(struct import *im, struct worker *w, bool tls, struct err *e)
{
	struct MHD_OptionItem options[3] = {{MHD_OPTION_END, 0, NULL}, {MHD_OPTION_END, 0, NULL}, {MHD_OPTION_END, 0, NULL}};
	unsigned seconds = (unsigned)((im->c.request_timeout + NSEC_PER_SEC - 1) / NSEC_PER_SEC);

	w->im = im;
	SLIST_INIT(&w->free);
	random_bytes(&w->id_prefix, sizeof(w->id_prefix));
	w->decoder.intake = intake_new();
	w->auth = auth_new(im->state, im->c.seal);
	w->tls = tls;
	if (tls) {
		options[0] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)(uintptr_t)tls_certificate};
		options[1] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)TLS_PRIORITIES};
	}
	w->mhd = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
			(tls ? MHD_USE_TLS : 0),
		0, NULL, NULL, request_on, w, MHD_OPTION_EXTERNAL_LOGGER, mhd_log, NULL, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)IMPORT_POOL,
		MHD_OPTION_CONNECTION_TIMEOUT, seconds, MHD_OPTION_CONNECTION_LIMIT, im->c.connections_max + 16, MHD_OPTION_NOTIFY_COMPLETED,
		request_completed, w, MHD_OPTION_NOTIFY_CONNECTION, request_connection, w, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
	return w->mhd ? 0 : err_errno(e, errno, "an http thread does not start");
}

/* STATE_DIR/http.port, for scripts that asked for port 0. */
static int write_port(const char *file, unsigned port, struct err *e)
{
	const char *slash = strrchr(file, '/');
	char text[16];
	char *dir;
	int rc;

	snprintf(text, sizeof(text), "%u\n", port);
	dir = slash ? xstrndup(file, (size_t)(slash - file)) : xstrdup(".");
	rc = file_commit(*dir ? dir : "/", slash ? slash + 1 : file, text, strlen(text), e);
	free(dir);
	return rc;
}

static int write_ports(struct import *im, struct err *e)
{
	char *tls_file;
	int rc;

	if (!im->port_file)
		return 0;
	if (write_port(im->port_file, im->port, e) || !im->port_tls)
		return im->port_tls ? -1 : 0;
	tls_file = xasprintf("%.*s/https.port", (int)(strrchr(im->port_file, '/') ? strrchr(im->port_file, '/') - im->port_file : 1),
		strrchr(im->port_file, '/') ? im->port_file : ".");
	rc = write_port(tls_file, im->port_tls, e);
	free(tls_file);
	return rc;
}

int import_start(struct import *im, struct err *e)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned n = im->c.threads ? im->c.threads : (unsigned)MAX(cores, 1);
	sigset_t all, old;
	int rc = -1;

	if (im->listen_tls) {
		if (import_reload_tls(im, im->c.tls_cert, im->c.tls_key, e))
			return -1;
		n *= 2; /* libmicrohttpd's threads speak TLS with all of theirs, or with none */
	}
	im->workers = xcalloc(n, sizeof(*im->workers));
	sigfillset(&all); /* only main handles signals */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (accept_open(im, e))
		goto out;
	keyed_recall(im);
	for (; im->n_workers < n; im->n_workers++)
		if (start_worker(im, &im->workers[im->n_workers], im->listen_tls && im->n_workers >= n / 2, e)) {
			im->n_workers++;
			goto out;
		}
	if (write_ports(im, e) || lane_start(im, e))
		goto out;
	rc = pthread_create(&im->acceptor, NULL, accept_run, im);
	if (rc)
		rc = err_errno(e, rc, "thread of the acceptor");
	else
		im->started = true;
out:
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

unsigned import_port(const struct import *im)
{
	return im->port;
}

unsigned import_port_tls(const struct import *im)
{
	return im->port_tls;
}

int import_reload_tls(struct import *im, const char *cert, const char *key, struct err *e)
{
	if (!im->listen_tls)
		return 0;
	if (!cert || !*cert || !key || !*key)
		return err_set(e, ERR_CONFIG, "https needs tls_cert and tls_key, the PEM files of a certificate and of its key");
	return tls_load(cert, key, e);
}

static void wake(struct import *im)
{
	uint64_t one = 1;

	if (write(im->wake, &one, sizeof(one)) < 0)
		log_debug("acceptor: %s", errno_text(errno));
}

static void nap(void)
{
	struct timespec ts = {.tv_nsec = 2 * NSEC_PER_MSEC};

	nanosleep(&ts, NULL);
}

static bool somebody_sleeps(struct import *im)
{
	bool some;

	pthread_mutex_lock(&im->lock);
	some = keyed_waiting(im) || lane_is_busy(im) || !TAILQ_EMPTY(&im->asleep) || !TAILQ_EMPTY(&im->waiting);
	pthread_mutex_unlock(&im->lock);
	return some;
}

void import_drain(struct import *im, int64_t deadline)
{
	int64_t end;

	if (!im->started)
		return;
	atomic_store(&im->draining, true);
	wake(im);
	while (atomic_load(&im->n_conns) && now_get().mono < deadline)
		nap();
	atomic_store(&im->closing, true);
	wake(im);
	for (end = now_get().mono + 2 * NSEC_PER_SEC; somebody_sleeps(im) && now_get().mono < end;)
		nap();
}

void import_free(struct import *im)
{
	if (!im)
		return;
	if (im->started)
		import_drain(im, now_get().mono);
	lane_stop(im);
	if (im->started) {
		atomic_store(&im->stop, true);
		wake(im);
		pthread_join(im->acceptor, NULL);
		request_expire(im, NEVER);
		while (atomic_load(&im->puts)) /* the queue's stop answers them */
			nap();
	}
	for (unsigned i = 0; i < im->n_workers; i++) {
		struct worker *w = &im->workers[i];

		if (w->mhd)
			MHD_stop_daemon(w->mhd);
		request_free_all(w);
		decoder_free(&w->decoder);
		auth_free(w->auth);
	}
	for (unsigned i = 0; i < im->n_listeners; i++)
		close(im->listeners[i].fd);
	tls_free();
	put_free_all(im);
	if (im->wake >= 0)
		close(im->wake);
	pthread_mutex_destroy(&im->lock);
	free(im->workers);
	keyed_free(im->keyed);
	lane_free(im->lane);
	room_free(im);
	free(im->listen);
	free(im->listen_tls);
	free(im->port_file);
	free(im->state_dir);
	free(im);
}

void import_set_pressure(struct import *im, unsigned retry_after, const char *why)
{
	atomic_store(&im->retry_after, retry_after);
	pthread_mutex_lock(&im->lock);
	(void)str_copy(im->why, sizeof(im->why), str_c(why ? why : ""));
	pthread_mutex_unlock(&im->lock);
}
