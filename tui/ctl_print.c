/*
 * ctl_print.c - answers as text: aligned tables for a terminal, tab-separated lines with a header for anything else, JSON on demand. Which columns a
 * list shows stands in one table below; whoever wants all fields takes --json.
 *
 * What can go wrong: data holds control characters and wide characters. For a terminal they go through cells.c; in tab-separated lines only
 * what would break a line or a field is escaped, the rest of the bytes stay as they are.
 */
#include "ctl.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "cells.h"
#include "i18n.h"
#include "timefmt.h"
#include "xalloc.h"

static const struct {
	const char *method, *columns;
} shapes[] = {
	{"source.list", "name kind state accepted destinations created_ns"},
	{"destination.list", "name kind state tables records bytes oldest_ns trend drain_s loaders error breaker"},
	{"table.list", "source table destination state accepted queued spooled loaded rejected discarded difference lag_s error"},
	{"table.show", "source table destination state accepted queued spooled loaded rejected discarded difference lag_s key_names error"},
	{"job.list", "id state source table destination records bytes rejected_records attempts updated_ns error"},
	{"reject.list", "id state source table destination field value reason"},
	{"hook.list", "id state destination table load tries updated_ns error"},
	{"pause.list", "kind name by since until reason"},
	{"audit.list", "at_ns who action object result"},
	{"event.list", "at_ns level kind object text"},
	{"problems", "level object text since_ns records"},
};

/* --- JSON --- */

void ctl_print_json(const struct ctl *c, const json_t *v)
{
	json_dumpf(v, stdout, (c->tty ? JSON_INDENT(2) : JSON_COMPACT) | JSON_ENCODE_ANY);
	putchar('\n');
}

/* --- a value --- */

static void for_lines(struct buf *out, struct str s)
{
	for (size_t k = 0; k < s.len; k++) {
		unsigned char ch = (unsigned char)s.ptr[k];

		if (ch == '\t')
			buf_adds(out, "\\t");
		else if (ch == '\n')
			buf_adds(out, "\\n");
		else if (ch == '\\')
			buf_adds(out, "\\\\");
		else if (ch < 0x20 || ch == 0x7f)
			buf_addf(out, "\\x%02x", ch);
		else
			buf_addc(out, (char)ch);
	}
}

static void add_text(const struct ctl *c, struct str s, struct buf *out)
{
	if (c->tty)
		cells_clean(out, s, true);
	else
		for_lines(out, s);
}

static void add_dump(const struct ctl *c, const json_t *v, struct buf *out)
{
	char *s = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);

	add_text(c, str_c(s), out);
	free(s);
}

static void add_number(const struct ctl *c, struct str key, const json_t *v, struct buf *out)
{
	char iso[TIMEFMT_MAX];

	if (str_ends(key, STR("_ns"))) {
		timefmt_iso(json_integer_value(v), 0, iso);
		buf_adds(out, iso);
	} else if (c->tty && str_ends(key, STR("_s"))) {
		cells_span(out, (int64_t)(json_number_value(v) * (double)NSEC_PER_SEC));
	} else if (c->tty && (str_eqc(key, "bytes") || str_ends(key, STR("_bytes")))) {
		cells_bytes(out, json_integer_value(v));
	} else if (json_is_integer(v)) {
		buf_addf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	} else {
		buf_addf(out, "%.3f", json_real_value(v));
	}
}

static void add_object(const struct ctl *c, const json_t *v, struct buf *out)
{
	const json_t *text = json_object_get(v, "text"), *class = json_object_get(v, "class"), *by = json_object_get(v, "by");

	if (json_is_string(text)) {
		if (json_is_string(class) && json_string_length(class)) {
			ctl_cell(c, "class", class, out);
			buf_adds(out, ": ");
		}
		ctl_cell(c, "text", text, out);
	} else if (by) {
		ctl_cell(c, "by", by, out);
		buf_adds(out, _(" since "));
		ctl_cell(c, "since", json_object_get(v, "since"), out);
		if (json_is_string(json_object_get(v, "until"))) {
			buf_adds(out, _(" until "));
			ctl_cell(c, "until", json_object_get(v, "until"), out);
		}
		buf_adds(out, ": ");
		ctl_cell(c, "reason", json_object_get(v, "reason"), out);
	} else if (json_object_get(v, "state") && json_object_get(v, "until_ns")) { /* a circuit breaker */
		ctl_cell(c, "state", json_object_get(v, "state"), out);
		if (json_is_integer(json_object_get(v, "until_ns"))) {
			buf_adds(out, _(" until "));
			ctl_cell(c, "until_ns", json_object_get(v, "until_ns"), out);
		}
	} else {
		add_dump(c, v, out);
	}
}

void ctl_cell(const struct ctl *c, const char *key, const json_t *v, struct buf *out)
{
	const json_t *one;
	size_t k;

	if (!v || json_is_null(v)) {
		buf_adds(out, c->tty ? "-" : "");
	} else if (json_is_string(v)) {
		add_text(c, str_mem(json_string_value(v), json_string_length(v)), out);
	} else if (json_is_number(v)) {
		add_number(c, str_c(key), v, out);
	} else if (json_is_boolean(v)) {
		buf_adds(out, json_is_true(v) ? "true" : "false");
	} else if (json_is_object(v)) {
		add_object(c, v, out);
	} else if (json_is_array(v)) {
		json_array_foreach(v, k, one)
		{
			if (k)
				buf_addc(out, ',');
			if (json_object_get(one, "id") && json_object_get(one, "state") && json_object_get(one, "batch")) { /* jobs of a receipt */
				ctl_cell(c, "id", json_object_get(one, "id"), out);
				buf_addc(out, ' ');
				ctl_cell(c, "state", json_object_get(one, "state"), out);
			} else if (json_is_object(one))
				add_dump(c, one, out);
			else
				ctl_cell(c, key, one, out);
		}
	}
}

/* --- tables --- */

struct grid {
	size_t columns, rows;
	char **cells; /* rows * columns; the first row is the header */
	bool *right;
};

static void grid_init(struct grid *g, size_t columns, size_t rows)
{
	*g = (struct grid){.columns = columns, .rows = rows + 1};
	g->cells = xcalloc(g->rows * columns + 1, sizeof(*g->cells));
	g->right = xcalloc(columns + 1, sizeof(*g->right));
}

static void grid_set(struct grid *g, size_t row, size_t column, struct buf *text)
{
	g->cells[row * g->columns + column] = buf_detach(text, NULL);
}

static void print_aligned(const struct grid *g)
{
	size_t *width = xcalloc(g->columns + 1, sizeof(*width));
	struct buf line = BUF_INIT;

	for (size_t k = 0; k < g->rows * g->columns; k++)
		width[k % g->columns] = MAX(width[k % g->columns], cells_width(g->cells[k]));
	for (size_t r = 0; r < g->rows; r++) {
		buf_truncate(&line, 0);
		for (size_t k = 0; k < g->columns; k++) {
			if (k)
				buf_adds(&line, "  ");
			cells_pad(&line, g->cells[r * g->columns + k], width[k], g->right[k]);
		}
		while (line.len && line.data[line.len - 1] == ' ')
			buf_truncate(&line, line.len - 1);
		puts(buf_cstr(&line));
	}
	buf_free(&line);
	free(width);
}

static void grid_print(const struct ctl *c, struct grid *g)
{
	if (c->tty && g->columns)
		print_aligned(g);
	for (size_t r = 0; r < g->rows && !c->tty; r++) {
		for (size_t k = 0; k < g->columns; k++)
			printf("%s%s", k ? "\t" : "", g->cells[r * g->columns + k]);
		putchar('\n');
	}
	for (size_t k = 0; k < g->rows * g->columns; k++)
		free(g->cells[k]);
	free(g->cells);
	free(g->right);
}

static void set_title(struct grid *g, size_t column, const char *key)
{
	struct str s = str_c(key);
	struct buf b = BUF_INIT;

	if (str_ends(s, STR("_ns")))
		s.len -= 3;
	else if (str_ends(s, STR("_s")))
		s.len -= 2;
	buf_addstr(&b, s);
	grid_set(g, 0, column, &b);
}

/* The words of columns, or the keys of the first row; the caller frees the array and its texts. */
static char **columns_of(const char *columns, json_t *rows, size_t *n)
{
	struct str rest = str_c(columns);
	char **list = xcalloc(64, sizeof(*list));
	json_t *first = json_array_get(rows, 0), *v;
	const char *key;

	*n = 0;
	while (columns && rest.len && *n < 64) {
		const char *blank = memchr(rest.ptr, ' ', rest.len);
		size_t len = blank ? (size_t)(blank - rest.ptr) : rest.len;

		list[(*n)++] = str_dup(str_mem(rest.ptr, len));
		rest = str_trim(str_mem(rest.ptr + len, rest.len - len));
	}
	if (!columns)
		json_object_foreach(first, key, v)
			if (*n < 64)
				list[(*n)++] = xstrdup(key);
	return list;
}

static void print_rows(const struct ctl *c, const char *columns, json_t *rows)
{
	size_t n, k, at;
	char **keys = columns_of(columns, rows, &n);
	struct buf b = BUF_INIT;
	struct grid g;
	json_t *row;

	grid_init(&g, n, json_array_size(rows));
	for (k = 0; k < n; k++)
		set_title(&g, k, keys[k]);
	json_array_foreach(rows, at, row)
		for (k = 0; k < n; k++) {
			json_t *v = json_object_get(row, keys[k]);

			g.right[k] |= json_is_number(v) && !str_ends(str_c(keys[k]), STR("_ns"));
			ctl_cell(c, keys[k], v, &b);
			grid_set(&g, at + 1, k, &b);
		}
	grid_print(c, &g);
	for (k = 0; k < n; k++)
		free(keys[k]);
	free(keys);
}

/* {"columns": [..], "rows": [[..], ..]} */
static void print_sample(const struct ctl *c, json_t *columns, json_t *rows)
{
	size_t n = json_array_size(columns), k, at;
	struct buf b = BUF_INIT;
	struct grid g;
	json_t *row;

	grid_init(&g, n, json_array_size(rows));
	for (k = 0; k < n; k++) {
		ctl_cell(c, "", json_array_get(columns, k), &b);
		grid_set(&g, 0, k, &b);
	}
	json_array_foreach(rows, at, row)
		for (k = 0; k < n; k++) {
			ctl_cell(c, "", json_array_get(row, k), &b);
			grid_set(&g, at + 1, k, &b);
		}
	grid_print(c, &g);
}

/* --- one object --- */

static bool holds_objects(const json_t *v)
{
	return json_is_array(v) && json_is_object(json_array_get(v, 0));
}

static void print_pair(const struct ctl *c, const char *name, const char *key, const json_t *v, int width)
{
	struct buf b = BUF_INIT;

	ctl_cell(c, key, v, &b);
	if (c->tty)
		printf("%-*s  %s\n", width, name, buf_cstr(&b));
	else
		printf("%s\t%s\n", name, buf_cstr(&b));
	buf_free(&b);
}

/* An object whose fields are lines of their own: settings, check; the others are one text. */
static bool opens(const json_t *v)
{
	return json_is_object(v) && !json_object_get(v, "text") && !json_object_get(v, "by");
}

static void print_fields(const struct ctl *c, json_t *o, const char *prefix, int width)
{
	const char *key;
	json_t *v;

	json_object_foreach(o, key, v)
	{
		char *name = xasprintf("%s%s", prefix, key);

		if (opens(v) && !*prefix) {
			char *inner = xasprintf("%s.", key);

			print_fields(c, v, inner, width);
			free(inner);
		} else if (!(c->tty && holds_objects(v)) && !(c->tty && json_is_array(v) && !json_array_size(v))) {
			print_pair(c, name, key, v, width);
		}
		free(name);
	}
	json_object_foreach(o, key, v)
		if (c->tty && holds_objects(v)) {
			printf("\n%s%s:\n", prefix, key);
			print_rows(c, NULL, v);
		}
}

static int width_of(json_t *o, size_t prefix)
{
	size_t width = 0;
	const char *key;
	json_t *v;

	json_object_foreach(o, key, v)
	{
		width = MAX(width, prefix + strlen(key));
		if (!prefix && opens(v))
			width = MAX(width, (size_t)width_of(v, strlen(key) + 1));
	}
	return (int)MIN(width, 40);
}

/* --- what a method answers --- */

static void print_lines(const struct ctl *c, json_t *lines)
{
	json_t *line;
	size_t k;

	if (c->json)
		putchar('[');
	json_array_foreach(lines, k, line)
	{
		/* they are JSON as the sender wrote it; a number must not be written anew */
		if (c->json)
			printf("%s%s", k ? ",\n" : "", json_string_value(line));
		else
			puts(json_string_value(line));
	}
	if (c->json)
		puts("]");
}

void ctl_print(const struct ctl *c, const char *method, json_t *v)
{
	const char *columns = NULL;

	for (size_t k = 0; k < ARRAY_LEN(shapes); k++)
		if (strcmp(shapes[k].method, method) == 0)
			columns = shapes[k].columns;
	if (strcmp(method, "batch.cat") == 0)
		print_lines(c, v);
	else if (c->json || strcmp(method, "config.export") == 0 || !(json_is_array(v) || json_is_object(v)))
		ctl_print_json(c, v);
	else if (json_is_array(v))
		print_rows(c, columns, v);
	else if (json_is_array(json_object_get(v, "columns")) && json_is_array(json_object_get(v, "rows")))
		print_sample(c, json_object_get(v, "columns"), json_object_get(v, "rows"));
	else
		print_fields(c, v, "", width_of(v, 0));
	fflush(stdout);
}

void ctl_print_event(const struct ctl *c, json_t *v)
{
	static const char *const keys[] = {"at_ns", "level", "kind", "object", "text"};
	struct buf b = BUF_INIT;

	if (c->json) {
		json_dumpf(v, stdout, JSON_COMPACT);
	} else {
		for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
			if (k)
				buf_adds(&b, c->tty ? "  " : "\t");
			ctl_cell(c, keys[k], json_object_get(v, keys[k]), &b);
		}
		fputs(buf_cstr(&b), stdout);
		buf_free(&b);
	}
	putchar('\n');
	fflush(stdout);
}

/* --- status --- */

static void add_field(const struct ctl *c, struct buf *b, const char *format, json_t *v, const char *path)
{
	const char *dot = strchr(path, '.');
	char *first = dot ? xstrndup(path, (size_t)(dot - path)) : NULL;
	struct buf cell = BUF_INIT;

	ctl_cell(c, dot ? dot + 1 : path, dot ? json_object_get(json_object_get(v, first), dot + 1) : json_object_get(v, path), &cell);
	buf_addf(b, "%s%s ", b->len ? "   " : "", format);
	buf_addstr(b, buf_str(&cell));
	buf_free(&cell);
	free(first);
}

static void print_head(const struct ctl *c, json_t *v)
{
	static const struct {
		const char *label, *path;
		bool ends;
	} fields[] = {{N_("stitchd"), "name", false}, {N_("version"), "version", false}, {N_("up"), "uptime_s", false}, {N_("state"), "state", true},
		{N_("import"), "import.state", false}, {N_("in/s"), "in_rate", false}, {N_("loaded/s"), "load_rate", false},
		{N_("waiting"), "waiting", false}, {N_("difference"), "difference", true}, {N_("queue"), "queue.records", false},
		{N_("open batches"), "streamery.open", false}, {N_("jobs ready"), "spool.ready", false}, {N_("active"), "spool.active", false},
		{N_("deferred"), "spool.deferred", false}, {N_("held"), "spool.held", false}, {N_("rejected"), "spool.rejected", false},
		{N_("corrupt"), "spool.corrupt", false}, {N_("loaders"), "loaders.up", true}};
	struct buf b = BUF_INIT;

	for (size_t k = 0; k < ARRAY_LEN(fields); k++) {
		add_field(c, &b, _(fields[k].label), v, fields[k].path);
		if (fields[k].ends) {
			puts(buf_cstr(&b));
			buf_truncate(&b, 0);
		}
	}
	buf_free(&b);
}

void ctl_print_status(const struct ctl *c, json_t *v)
{
	json_t *problems = json_object_get(v, "problems"), *p;
	struct buf b = BUF_INIT;
	size_t k;

	if (c->tty) {
		print_head(c, v);
		if (json_array_size(problems)) {
			putchar('\n');
			ctl_print(c, "problems", problems);
		}
		putchar('\n');
	}
	ctl_print(c, "table.list", json_object_get(v, "tables"));
	/* a script reads the tables; what is wrong goes where a person sees it */
	json_array_foreach(problems, k, p)
	{
		if (c->tty)
			break;
		buf_truncate(&b, 0);
		ctl_cell(c, "level", json_object_get(p, "level"), &b);
		buf_adds(&b, ": ");
		ctl_cell(c, "object", json_object_get(p, "object"), &b);
		buf_adds(&b, ": ");
		ctl_cell(c, "text", json_object_get(p, "text"), &b);
		fprintf(stderr, "stitchctl: %s\n", buf_cstr(&b));
	}
	buf_free(&b);
}
