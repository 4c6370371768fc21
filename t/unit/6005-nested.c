/*
 * 6005-nested.c - objects and arrays: the tables and columns that paths become, the child rows of a record, what is refused, and the first column that is renamed.
 */
#include "loaders/runtime/plan.h"
#include "loaders/runtime/rows.h"
#include "tap.h"
#include "xalloc.h"

static const char *const reserved[] = {"it", "st", "de", "bo", NULL};
static const struct dialect flat = {.suffix = {"it", "de", "bo", "ti", "st", "va"}, .reserved = reserved, .nesting = NEST_FLATTEN, .columns_max = 40, .nul_ok = true};
static const struct dialect narrow = {.suffix = {"it", "de", "bo", "ti", "st", "va"}, .reserved = reserved, .nesting = NEST_FLATTEN, .column_max = 14, .table_max = 14,
	.row_max = 90, .record_max = 200, .time_min = 0, .time_max = 1000000};
static const struct dialect keep = {.suffix = {"it", "de", "bo", "ti", "st", "va"}, .reserved = reserved, .nesting = NEST_KEEP, .nul_ok = true};
static const struct dialect renames = {.suffix = {"bi", "do", "bo", "ti", "st"}, .reserved = reserved, .nesting = NEST_FLATTEN, .rename_first = true};

static const char *const types[SEEN_TYPES] = {"integer", "bignum", "number", "boolean", "string", "timestamp", "date", "object", "array"};
static const char *const column_types[COL_TYPES] = {"i", "n", "b", "t", "s", "j"};

/* "name type,type;name type"; in a name . is before a member and * is an element */
static struct job job_of(const char *fields, const char *key)
{
	struct job j = {.source = xstrdup("shop"), .schema = xstrdup("shop"), .table = xstrdup("t")};
	char *copy = xstrdup(fields), *save, *inner;

	j.fields = xcalloc(200, sizeof(*j.fields));
	for (char *f = strtok_r(copy, ";", &save); f; f = strtok_r(NULL, ";", &save)) {
		char *list = strrchr(f, ' ');
		struct job_field *jf = &j.fields[j.n_fields++];

		*list++ = '\0';
		for (char *p = f; *p; p++)
			*p = *p == '.' ? '\1' : *p == '*' ? '\2' : *p;
		jf->name = xstrdup(f);
		for (char *t = strtok_r(list, ",", &inner); t; t = strtok_r(NULL, ",", &inner))
			for (unsigned k = 0; k < SEEN_TYPES; k++)
				if (strcmp(types[k], t) == 0)
					jf->types[jf->n++] = (enum seen_type)k;
	}
	free(copy);
	if (key) {
		j.keys = xcalloc(2, sizeof(*j.keys));
		j.keys[j.n_keys++] = xstrdup(key);
	}
	return j;
}

/* Columns but for the last four of each table, which are ours everywhere. */
static char *shown(const struct layouts *los)
{
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < los->n; i++) {
		const struct layout *lo = &los->t[i];

		buf_addf(&b, "%s%s(", i ? " " : "", lo->table);
		for (size_t k = 0; k < lo->n - 4; k++) {
			const char *name = lo->columns[k].name;

			buf_addf(&b, "%s%s", k ? " " : "", strncmp(name, "_sdc_source_key_", 16) == 0 ? name + 15 : strncmp(name, "_sdc_level_", 11) == 0 ? name + 11 : name);
			buf_addf(&b, ":%s", column_types[lo->columns[k].type]);
		}
		buf_addc(&b, ')');
	}
	return buf_detach(&b, NULL);
}

static void tables_are(const struct dialect *d, const char *fields, const char *key, const char *wanted)
{
	struct job j = job_of(fields, key);
	struct layouts los;
	struct err e = ERR_INIT;
	char *s;

	if (layouts_make(&j, d, false, &los, &e)) {
		is_str(wanted, e.text, "%s", fields);
		job_free(&j);
		return;
	}
	s = shown(&los);
	is_str(wanted, s, "%s", fields);
	for (size_t k = 1; k < los.n; k++)
		if (los.t[k].parent >= k || los.t[k].n_keys != los.t[k].n_source + los.t[k].level)
			ok(false, "%s has a parent before it and a key", los.t[k].table);
	free(s);
	layouts_free(&los);
	job_free(&j);
}

static void tables(void)
{
	tables_are(&flat, "id integer;a object;a.b object;a.b.c integer;a.d string", "id", "t(id:i a__b__c:i a__d:s)");
	tables_are(&flat, "id integer;l array;l* object,integer;l*.x string", "id", "t(id:i) t__l(_id:i 0_id:i value:i x:s)");
	tables_are(&flat, "id integer;l array;l* object;l*.m array;l*.m* string;l*.x integer", "id", "t(id:i) t__l(_id:i 0_id:i x:i) t__l__m(_id:i 0_id:i 1_id:i value:s)");
	tables_are(&flat, "id string;m array;m* array;m** integer", "id", "t(id:s) t__m__value(_id:s 0_id:i 1_id:i value:i)");
	tables_are(&flat, "o object;o.l array;o.l* number", NULL, "t(__sdc_primary_key:s) t__o__l(___sdc_primary_key:s 0_id:i value:n)");
	/* nothing in it: neither column nor table */
	tables_are(&flat, "id integer;o object;o. ;l array;l* ;m array;m* array;m** ", "id", "t(id:i)");
	tables_are(&flat, "l array;l* ", NULL, "t(__sdc_primary_key:s)");
	/* not listed what is in it: an older door's, text */
	tables_are(&flat, "id integer;o object;l array,string", "id", "t(id:i o:s l:s)");
	tables_are(&flat, "id integer;l array;l* object", "id", "t(id:i) t__l(_id:i 0_id:i value:s)");
	/* inner before outer, and the outer never */
	tables_are(&flat, "id integer;a.b integer;a object;c.d integer", "id", "t(id:i a__b:i c__d:i)");
	/* a scalar beside the object has the field's own name */
	tables_are(&flat, "id integer;a object,string,integer;a.b integer", "id", "t(id:i a:s a__it:i a__b:i)");
	tables_are(&flat, "id integer;a object,string,integer;a.it boolean", "id", "t(id:i a:s a__it:i)");
	tables_are(&flat, "id integer;a object;a.it boolean;a.de string", "id", "t(id:i a__it:b a__de:s)");
	/* a key is one value */
	tables_are(&flat, "id object;id.x integer", "id", "t(id:s)");
	tables_are(&flat, "k integer;l array;l* integer", "id", "t(k:i)");
	tables_are(&keep, "id integer;o object,array;o.x integer;l array,string;l* integer", "id", "t(id:i o:j l:j l__st:s)");
	tables_are(&renames, "id integer,string;x integer,string,number;y string", "id", "t(id:i x__bi:n x__st:s y:s)");
	tables_are(&renames, "id integer;x object,integer;x.a string,boolean", "id", "t(id:i x:i x__a__st:s x__a__bo:b)");
	tables_are(&flat, "id integer;a integer;a integer", "id", "the job lists the column a twice");
	tables_are(&flat, "id integer;l*x integer", "id", "the job lists a path that has a name where an array's element is: l\2x");
	tables_are(&narrow, "id integer;list array;list* integer", "id", "t(id:i) t__list(_id:i 0_id:i value:i)");
	tables_are(&narrow, "id integer;elevenchars array;elevenchars* integer;twelvechars_ array;twelvechars_* integer", "id", "t(id:i) t__elevenchars(_id:i 0_id:i value:i)");
	tables_are(&narrow, "id2 integer;l array;l* integer", "id2", "t(id2:i)");
}

struct use { struct job j; struct layouts los; struct rows *rows; struct buf said; };

static void use(struct use *u, const struct dialect *d, const char *fields, const char *key)
{
	struct err e = ERR_INIT;

	*u = (struct use){.j = job_of(fields, key)};
	if (layouts_make(&u->j, d, false, &u->los, &e))
		bail("%s", e.text);
	u->rows = rows_new(&u->j, &u->los, d);
}

static void done(struct use *u)
{
	rows_free(u->rows);
	layouts_free(&u->los);
	job_free(&u->j);
	buf_free(&u->said);
}

static int say(void *arg, const struct row *row, struct err *e)
{
	struct use *u = arg;
	const struct layout *lo = &u->los.t[row->table];

	(void)e;
	buf_addf(&u->said, "%s%s(", u->said.len ? " " : "", lo->table);
	for (size_t k = 0; k < lo->n - 4; k++) {
		const struct cell *c = &row->cells[k];

		buf_adds(&u->said, k ? " " : "");
		if (c->kind == CELL_TEXT && c->s.len == 36)
			buf_adds(&u->said, "UUID");
		else if (c->kind == CELL_TEXT || c->kind == CELL_NUMBER || c->kind == CELL_JSON)
			buf_addstr(&u->said, c->s);
		else if (c->kind != CELL_NULL)
			buf_addf(&u->said, "%" PRId64, c->i);
		else
			buf_addc(&u->said, '-');
	}
	buf_addc(&u->said, ')');
	ok(row->ordinal == 7 && row->sequence == 42 && row->version == 3 && row->cells[lo->sequence].i == 42 && row->cells[lo->version].i == 3 &&
			row->cells[lo->received].kind == CELL_TIME && row->cells[lo->batched].kind == CELL_TIME,
		"%s: a row with all of ours", lo->table);
	return 0;
}

static void rows_are(struct use *u, const char *data, const char *wanted)
{
	struct job_batch batch = {.table_version = 3};
	struct frame_record rec = {.sequence = STR("42"), .data = str_c(data)};
	struct place at = {.batch = &batch};
	struct row row = {.ordinal = 7};
	struct refusal why = {.reason = BUF_INIT};
	struct err e = ERR_INIT;
	enum rows_made made = rows_make(u->rows, &rec, &at, &row, &why, &e);

	buf_truncate(&u->said, 0);
	if (made == ROWS_REFUSED)
		buf_addstr(&u->said, buf_str(&why.reason));
	else if (made == ROWS_NOTHING)
		buf_adds(&u->said, "nothing");
	else if (made != ROWS_ROW || say(u, &row, &e) || rows_children(u->rows, &row, say, u, &e))
		buf_addf(&u->said, "error %s", e.text);
	is_str(wanted, buf_cstr(&u->said), "%s", data);
	buf_free(&why.reason);
}

static void children(void)
{
	struct use u;

	use(&u, &flat, "id integer;o object;o.s string;o.l array;o.l* integer;l array;l* object,integer;l*.x string;l*.p object;l*.p.q boolean;l*.m array;l*.m* array,string;l*.m** integer",
		"id");
	rows_are(&u, "{\"id\":1}", "t(1 -)");
	rows_are(&u, "{\"id\":1,\"l\":[5,null,{\"x\":\"a\\n\"},{\"p\":{\"q\":true}}]}", "t(1 -) t__l(1 0 5 - -) t__l(1 2 - a\n -) t__l(1 3 - - 1)");
	rows_are(&u, "{\"l\":[{\"m\":[\"y\",[1,2]],\"x\":\"z\"}],\"o\":{\"l\":[9]},\"id\":2}",
		"t(2 -) t__l(2 0 - z -) t__l__m(2 0 0 y) t__l__m__value(2 0 1 0 1) t__l__m__value(2 0 1 1 2) t__o__l(2 0 9)");
	rows_are(&u, "{\"id\":3,\"l\":[],\"o\":{}}", "t(3 -)");
	rows_are(&u, "{\"id\":3,\"l\":null,\"o\":null}", "t(3 -)");
	/* of a key that comes twice the last one counts, whatever was in the first */
	rows_are(&u, "{\"id\":4,\"l\":[1,2],\"l\":[3]}", "t(4 -) t__l(4 0 3 - -)");
	rows_are(&u, "{\"id\":4,\"o\":{\"s\":\"gone\",\"l\":[1]},\"o\":{}}", "t(4 -)");
	rows_are(&u, "{\"id\":4,\"o\":{\"l\":[1],\"s\":\"gone\"},\"o\":null,\"l\":[{\"m\":[\"a\"],\"x\":\"b\",\"m\":[],\"x\":null}]}", "t(4 -)");
	/* refused whole */
	rows_are(&u, "{\"id\":5,\"l\":[{\"x\":\"good\"},{\"x\":\"good\",\"m\":[[true]]}]}", "boolean not possible for l__m on [true]");
	rows_are(&u, "{\"id\":5,\"l\":[{\"new\":1}]}", "l__new is nested too deep or has too many fields");
	rows_are(&u, "{\"id\":5,\"o\":{\"new\":{\"x\":1}}}", "o__new is nested too deep or has too many fields");
	rows_are(&u, "{\"id\":5,\"o\":{\"new\":null}}", "t(5 -)");
	rows_are(&u, "{\"id\":5,\"o\":7}", "number not possible for o on [7]");
	rows_are(&u, "{\"id\":5,\"l\":{\"x\":1}}", "object not possible for l on [{\"x\":1}]");
	rows_are(&u, "{\"id\":6,\"l\":[1]}", "t(6 -) t__l(6 0 1 - -)");
	done(&u);
	use(&u, &flat, "id integer;o object;o. ;l array;l* ;e array;e* object;e*. ", "id");
	rows_are(&u, "{\"id\":1,\"o\":{},\"l\":[null,null],\"e\":[{}]}", "t(1)");
	rows_are(&u, "{\"id\":1,\"l\":[1]}", "l is nested too deep or has too many fields");
	rows_are(&u, "{\"id\":1,\"e\":[{\"x\":1}]}", "e__x is nested too deep or has too many fields");
	done(&u);
	use(&u, &flat, "a integer;l array;l* object;l*.x integer", NULL);
	rows_are(&u, "{\"a\":null,\"l\":[null,{}]}", "nothing");
	rows_are(&u, "{\"l\":[null,{\"x\":1}]}", "t(- UUID) t__l(UUID 1 1)");
	done(&u);
	use(&u, &narrow, "id integer;l array;l* string;at timestamp;longlongname array;longlongname* integer", "id");
	rows_are(&u, "{\"id\":1,\"l\":[\"01234567890123456789\"]}", "t(1 -) t__l(1 0 01234567890123456789)");
	rows_are(&u, "{\"id\":1,\"l\":[\"01234567890123456789012345678901234567890123456789\"]}",
		"the row of t__l has 98 bytes, more than the 90 that this destination takes");
	rows_are(&u, "{\"id\":1,\"l\":[\"a\\u0000b\"]}", "character U+0000 not possible for l on [\\u0000]");
	rows_are(&u, "{\"id\":1,\"at\":\"1970-01-01T00:00:02Z\"}", "timestamp out of range for at on [1970-01-01T00:00:02Z]");
	rows_are(&u, "{\"id\":1,\"longlongname\":[]}", "the name of the table t__longlongname, for the elements of longlongname, is longer than 14 bytes");
	rows_are(&u, "{\"id\":1,\"l\":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,"
		     "0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}", "the record has 212 bytes, more than the 200 that are possible");
	done(&u);
	use(&u, &keep, "id integer;o object,string;o.x integer", "id");
	rows_are(&u, "{\"id\":1,\"o\":{\"x\": 1, \"y\":[null]}}", "t(1 {\"x\": 1, \"y\":[null]} -)");
	rows_are(&u, "{\"id\":1,\"o\":\"text\"}", "t(1 - text)");
	done(&u);
}

static void strings_are(struct use *u, const char *head, const char *data, const char *wanted)
{
	struct job_batch batch = {.table_version = 3};
	struct err e = ERR_INIT;
	char *line = xasprintf("{\"source\":0,\"table\":\"t\",\"key_names\":[\"id\"],\"schema\":null,\"types\":{%s},\"table_version\":3,\"received_at\":1}", head);

	if (rows_head(u->rows, &batch, str_c(line), &e))
		bail("%s", e.text);
	free(line);
	rows_are(u, data, wanted);
}

/* A string is what its own head says, whatever other batches of the load hold. */
static void heads(void)
{
	static const char data[] = "{\"id\":1,\"x\":\"1970-01-01T00:00:01Z\",\"l\":[\"1970-01-01\"]}", bad[] = "{\"id\":1,\"x\":\"never\"}";
	struct use u;

	use(&u, &flat, "id integer;x timestamp,string;l array;l* string,date", "id");
	strings_are(&u, "\"x\":[\"timestamp\"],\"l\":[\"array\"],\"l\\u0002\":[\"date\"]", data, "t(1 1000000 -) t__l(1 0 - 0)");
	strings_are(&u, "\"x\":[\"string\"],\"l\":[\"array\"],\"l\\u0002\":[\"string\"]", data, "t(1 - 1970-01-01T00:00:01Z) t__l(1 0 1970-01-01 -)");
	strings_are(&u, "\"x\":[\"timestamp\",\"string\"]", data, "t(1 1000000 -) t__l(1 0 - 0)");
	strings_are(&u, "", data, "t(1 1000000 -) t__l(1 0 - 0)");
	strings_are(&u, "\"x\":[\"timestamp\"]", bad, "invalid timestamp for x on [never]");
	strings_are(&u, "\"x\":[\"timestamp\",\"integer\",\"string\"]", bad, "t(1 - never)");
	strings_are(&u, "", bad, "t(1 - never)");
	done(&u);
}

static void rename_is(const char *fields, const char *there, const char *wanted)
{
	struct job j = job_of(fields, "id");
	struct table_desc d = {.exists = true, .owner = xstrdup("shop"), .columns = xcalloc(20, sizeof(*d.columns)), .keys = xcalloc(1, sizeof(*d.keys)), .n_keys = 1};
	char *copy = xasprintf("id:i;%s;_sdc_received_at:t;_sdc_batched_at:t;_sdc_sequence:i;_sdc_table_version:i", there), *save;
	struct buf b = BUF_INIT;
	struct layouts los;
	struct plan p;
	struct err e = ERR_INIT;

	d.keys[0] = xstrdup("id");
	for (char *c = strtok_r(copy, ";", &save); c; c = strtok_r(NULL, ";", &save)) {
		char *type = strchr(c, ':');

		*type++ = '\0';
		d.columns[d.n++] = (struct desc_column){.name = xstrdup(c), .accepts = *type == 'i' ? COL_BIT(COL_INTEGER) : *type == 'n' ? COL_BIT(COL_INTEGER) | COL_BIT(COL_NUMBER) :
			*type == 's' ? COL_BIT(COL_STRING) : COL_BIT(COL_TIME)};
	}
	if (layouts_make(&j, &renames, false, &los, &e) || plan_make(&j, &renames, &los.t[0], &d, &p, &e))
		bail("%s", e.text);
	for (size_t k = 0; k < p.n; k++)
		buf_addf(&b, "%s%s%s %s", k ? "; " : "", p.steps[k].kind == STEP_RENAME ? p.steps[k].from : p.steps[k].kind == STEP_ADD ? "add" : "widen",
			p.steps[k].kind == STEP_RENAME ? " to" : "", p.steps[k].column->name);
	is_str(wanted, buf_cstr(&b), "%s over %s", fields, there);
	buf_truncate(&b, 0);
	for (size_t k = 1; k < los.t[0].n_user; k++)
		buf_addf(&b, "%s%s", k > 1 ? " " : "", los.t[0].columns[k].name);
	diag("columns %s", buf_cstr(&b));
	buf_free(&b);
	plan_free(&p);
	layouts_free(&los);
	table_desc_free(&d);
	job_free(&j);
	free(copy);
}

static void renaming(void)
{
	rename_is("id integer;x integer", "x:i", "");
	rename_is("id integer;x integer,string", "x:i", "x to x__bi; add x__st");
	rename_is("id integer;x integer,string", "x__bi:i;x__st:s", "");
	rename_is("id integer;x integer", "x__bi:i;x__st:s", "");
	rename_is("id integer;x integer,string,number", "x__bi:i;x__st:s", "widen x__bi");
	rename_is("id integer;x integer,number,string", "x:i", "x to x__bi; widen x__bi; add x__st");
	rename_is("id integer;x integer,number", "x__bi:i;x__st:s", "widen x__bi");
	/* not ours to rename: it could not hold the values */
	rename_is("id integer;x integer,string", "x:s", "add x__bi; add x__st");
}

static void bare(void)
{
	struct job j = job_of("id integer;l array;l* integer", "id");
	struct layouts los;
	struct err e = ERR_INIT;
	char *s;

	if (layouts_make(&j, &flat, false, &los, &e))
		bail("%s", e.text);
	layouts_add_bare(&los, &flat, "t__old");
	layouts_add_bare(&los, &flat, "t__older");
	layouts_add_bare(&los, &flat, "t__oldest");
	is_int(5, (long)los.n, "subtables that are not in the job");
	ok(los.t[4].bare && los.t[4].n_keys == 1 && los.t[4].n == 2, "know only source keys and version");
	is_str("_sdc_source_key_id", los.t[4].columns[0].name, "by name");
	layouts_free(&los);
	job_free(&j);
	j = job_of("", NULL);
	if (layouts_make(&j, &flat, false, &los, &e))
		bail("%s", e.text);
	s = shown(&los);
	is_str("t(__sdc_primary_key:s)", s, "a job without fields");
	free(s);
	layouts_free(&los);
	job_free(&j);
}

int main(void)
{
	plan_lazy();
	tables();
	children();
	heads();
	renaming();
	bare();
	return done_testing();
}
