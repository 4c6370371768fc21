/*
 * view_job.c - one job: state, error, its batch, and the records that were rejected: number, field, value, reason, the record itself as text and as
 * hex. Everything of a record is foreign and is shown escaped.
 */
#include "cells.h"
#include "draw.h"
#include "i18n.h"
#include "view.h"
#include "xalloc.h"

struct job {
	struct view v;
	struct target target;
	json_t *job;
	char why[300]; /* it cannot be shown */
	size_t sel;    /* rejected record */
	unsigned ticks;
};

static struct job *job_of(struct view *v)
{
	return container_of(v, struct job, v);
}

static void title(struct view *v, struct buf *out)
{
	struct job *j = job_of(v);
	enum theme_role role;

	buf_addf(out, _("job %s"), j->target.job);
	if (j->job)
		buf_addf(out, "  %s %s  %s.%s → %s", theme_state(mj_str(j->job, "state"), &role), mj_str(j->job, "state"), mj_str(j->job, "source"), mj_str(j->job, "table"),
			mj_str(j->job, "destination"));
}

static void update(struct view *v)
{
	(void)v;
}

static void on_job(struct app *app, struct view *v, const json_t *r, const struct err *e, uint64_t tag)
{
	struct job *j = job_of(v);

	(void)app;
	(void)tag;
	j->why[0] = '\0';
	if (!r) {
		snprintf(j->why, sizeof(j->why), "%.299s", e->text);
		return;
	}
	json_decref(j->job);
	j->job = json_incref((json_t *)(uintptr_t)r);
	if (*mj_str(r, "id"))
		target_of_job(r, &j->target);
	if (j->sel >= mj_len(j->job, "rejected"))
		j->sel = 0;
}

static void tick(struct view *v)
{
	struct job *j = job_of(v);

	if (v->app->m.rpc && j->ticks++ % 2 == 0 && app_call(v->app, v, "job.show", json_pack("{s:s}", "id", j->target.job), on_job, 0))
		return;
}

/* --- the screen --- */

static int draw_hex(const char *raw, int y, int height, int width)
{
	size_t len = strlen(raw), per = width >= 78 ? 16 : 8;
	int line = 0;

	for (size_t at = 0; at < len && line < height; at += per, line++) {
		struct buf hex = BUF_INIT, text = BUF_INIT;

		for (size_t k = at; k < at + per; k++) {
			unsigned char c = k < len ? (unsigned char)raw[k] : ' ';

			if (k < len)
				buf_addf(&hex, "%02x ", c);
			else
				buf_adds(&hex, "   ");
			buf_addc(&text, c >= 0x20 && c < 0x7f ? (char)c : '.');
		}
		draw_textf(y + line, 2, width - 3, "%06zx  %s %s", at, buf_cstr(&hex), buf_cstr(&text));
		buf_free(&hex);
		buf_free(&text);
	}
	return line;
}

static int draw_data(const char *label, const char *data, int y, int width, int max_lines)
{
	struct buf clean = BUF_INIT;
	int x = 2 + draw_text(y, 2, 10, label) + 2, n;

	x = MAX(x, 10);
	cells_clean(&clean, str_c(data), true);
	n = draw_wrapped(y, x, width - x - 1, max_lines, buf_cstr(&clean));
	buf_free(&clean);
	return MAX(n, 1);
}

static void draw_rejected(const struct job *j, int y, int height, int width)
{
	size_t n = mj_len(j->job, "rejected");
	const json_t *r = mj_at(j->job, "rejected", j->sel);
	int end = y + height;

	if (!n || height < 1)
		return;
	theme_set(TH_SELECT);
	draw_fill(y, 0, width);
	draw_textf(y, 1, width - 2, _("rejected record %zu of %zu: number %" PRId64 " in the batch, field %s"), j->sel + 1, n, mj_int(r, "record"), *mj_str(r, "field") ? mj_str(r, "field") : "-");
	draw_cursor(y, 0);
	y++;
	theme_set(TH_WARN);
	if (y < end)
		y += draw_data(_("reason"), mj_str(r, "reason"), y, width, MIN(3, end - y));
	theme_set(TH_NORMAL);
	if (y < end)
		y += draw_data(_("value"), mj_str(r, "value"), y, width, MIN(2, end - y));
	if (y < end)
		y += draw_data(_("record"), mj_str(r, "raw"), y, width, MIN(4, end - y));
	theme_set(TH_DIM);
	if (end - y > 1)
		draw_hex(mj_str(r, "raw"), y, end - y, width);
	theme_set(TH_NORMAL);
}

static int draw_head(const struct job *j, int y, int room, int width)
{
	const json_t *o = j->job;
	int64_t now = model_now(&j->v.app->m), next = mj_int(o, "not_before_ns");
	struct buf b = BUF_INIT;
	int n = 0;

	buf_addf(&b, ngettext("%" PRId64 " record, ", "%" PRId64 " records, ", (unsigned long)mj_int(o, "records")), mj_int(o, "records"));
	cells_bytes(&b, mj_int(o, "bytes"));
	buf_addf(&b, _(", %" PRId64 " rejected, attempts %" PRId64 ", created "), mj_int(o, "rejected_records"), mj_int(o, "attempts"));
	cells_time(&b, mj_int(o, "created_ns"), now, true);
	buf_adds(&b, _(", last change "));
	cells_time(&b, mj_int(o, "updated_ns"), now, true);
	if (next > now) {
		buf_adds(&b, _(", next attempt in "));
		cells_span(&b, next - now);
	}
	n += draw_wrapped(y, 1, width - 2, 2, buf_cstr(&b));
	if (*mj_str(o, "error.text") && n < room) {
		theme_set(TH_FAIL);
		draw_textf(y + n, 1, width - 2, "%s:", mj_str(o, "error.class"));
		theme_set(TH_NORMAL);
		n++;
		n += draw_wrapped(y + n, 3, width - 4, MIN(5, MAX(room - n, 1)), mj_str(o, "error.text"));
	}
	if (n + 2 < room) {
		theme_set(TH_DIM);
		n += draw_wrapped(y + n, 1, width - 2, 2, mj_str(o, "file"));
		draw_textf(y + n++, 1, width - 2, _("batch %s, offsets %" PRId64 " to %" PRId64 ", cut by %s%s"), mj_str(o, "batch"), mj_int(o, "first"), mj_int(o, "last"), mj_str(o, "cut_reason"),
			mj_int(o, "file_deleted_ns") ? _(", file deleted after all had it") : "");
		theme_set(TH_NORMAL);
	}
	buf_free(&b);
	return n;
}

static void draw(struct view *v, int y, int height, int width)
{
	struct job *j = job_of(v);
	int used;

	if (!j->job || j->why[0]) {
		draw_wrapped(y, 1, width - 2, height, j->why[0] ? j->why : _("asking..."));
		return;
	}
	used = draw_head(j, y, mj_len(j->job, "rejected") ? height / 2 : height, width);
	if (!mj_len(j->job, "rejected") && used < height)
		draw_text(y + used, 1, width - 2, _("no record of this job was rejected"));
	draw_rejected(j, y + used + (height > 12), height - used - (height > 12), width);
}

static bool key(struct view *v, enum key_action a)
{
	struct job *j = job_of(v);
	size_t n = mj_len(j->job, "rejected");
	struct buf b = BUF_INIT;

	if (act_key(v, &j->target, a))
		return true;
	switch (a) {
	case K_DOWN:
		j->sel += j->sel + 1 < n;
		return true;
	case K_UP:
		j->sel -= j->sel > 0;
		return true;
	case K_FIRST:
		j->sel = 0;
		return true;
	case K_LAST:
		j->sel = n ? n - 1 : 0;
		return true;
	case K_COPY:
		act_show_command(&j->target, &b);
		app_copy(v->app, buf_cstr(&b));
		buf_free(&b);
		return true;
	default:
		return false;
	}
}

static bool can(struct view *v, enum key_action a)
{
	size_t n = mj_len(job_of(v)->job, "rejected");

	if (a == K_REPLAY || a == K_TRY || a == K_PAUSE || a == K_RESUME || a == K_DISCARD)
		return act_can(v->app, &job_of(v)->target, a);
	return (a != K_DOWN && a != K_LAST) || n > 1;
}

static void close_job(struct view *v)
{
	json_decref(job_of(v)->job);
	free(job_of(v));
}

struct view *view_job(const char *id)
{
	static const enum key_action actions[] = {K_REPLAY, K_PAUSE, K_RESUME, K_DISCARD, K_DOWN, K_COPY, K_BACK, K_TRY, K_LAST, KEYS_SCREENS, K_QUIT, K_NONE};
	static const struct view_ops ops = {.name = N_("job"), .title = title, .update = update, .tick = tick, .draw = draw, .key = key, .can = can, .actions = actions, .close = close_job};
	struct job *j = xcalloc(1, sizeof(*j));

	j->v.ops = &ops;
	j->target.kind = T_JOB;
	snprintf(j->target.job, sizeof(j->target.job), "%s", id);
	return &j->v;
}
