/*
 * 6001-plan.c - which columns a job's fields become, and which changes of the destination they ask for.
 */
#include "loaders/runtime/plan.h"
#include "tap.h"
#include "xalloc.h"

static const char *const reserved[] = {"bi", "st", "de", NULL};
static const struct dialect plain = {.suffix = {"it", "de", "bo", "ti", "st"}, .reserved = reserved, .columns_max = 100, .nul_ok = true};
static const struct dialect strict = {.suffix = {"bi", "do", "bo", "ti", "st"}, .reserved = reserved, .column_max = 10, .table_max = 20, .columns_max = 12,
	.strip_special = true};

/* "name type,type;name type" */
static struct job job_of(const char *fields, const char *key)
{
	static const char *const names[SEEN_TYPES] = {"integer", "bignum", "number", "boolean", "string", "timestamp", "date", "object", "array"};
	struct job j = {.source = xstrdup("shop"), .schema = xstrdup("shop"), .table = xstrdup("orders")};
	char *copy = xstrdup(fields), *save, *inner;

	j.fields = xcalloc(200, sizeof(*j.fields));
	for (char *f = strtok_r(copy, ";", &save); f; f = strtok_r(NULL, ";", &save)) {
		char *types = strrchr(f, ' ');
		struct job_field *jf = &j.fields[j.n_fields++];

		*types++ = '\0';
		jf->name = xstrdup(f);
		for (char *t = strtok_r(types, ",", &inner); t; t = strtok_r(NULL, ",", &inner))
			for (unsigned k = 0; k < SEEN_TYPES; k++)
				if (strcmp(names[k], t) == 0)
					jf->types[jf->n++] = (enum seen_type)k;
	}
	free(copy);
	if (key) {
		j.keys = xcalloc(2, sizeof(*j.keys));
		j.keys[j.n_keys++] = xstrdup(key);
	}
	return j;
}

static const char *const type_names[COL_TYPES] = {"integer", "number", "boolean", "time", "string", "json"};

static char *shown(const struct layout *lo)
{
	struct buf b = BUF_INIT;

	for (size_t k = 0; k < lo->n_user; k++)
		buf_addf(&b, "%s%s %s%s", k ? "; " : "", lo->columns[k].name, type_names[lo->columns[k].type], lo->columns[k].key ? " key" : "");
	return buf_detach(&b, NULL);
}

static void layout_is(const struct dialect *d, const char *fields, const char *key, const char *wanted)
{
	struct job j = job_of(fields, key);
	struct layouts los;
	struct err e = ERR_INIT;
	char *s;

	if (!ok(layouts_make(&j, d, false, &los, &e) == 0, "%s", fields)) {
		diag("%s", e.text);
		job_free(&j);
		return;
	}
	s = shown(&los.t[0]);
	is_str(wanted, s, "its columns");
	free(s);
	layouts_free(&los);
	job_free(&j);
}

static void refused_is(const struct dialect *d, const char *fields, size_t at, const char *reason)
{
	struct job j = job_of(fields, NULL);
	struct layouts los;
	struct err e = ERR_INIT;

	if (layouts_make(&j, d, false, &los, &e))
		bail("%s", e.text);
	is_str(reason, los.top.members[at]->refused ? los.top.members[at]->refused : "none", "%s", fields);
	layouts_free(&los);
	job_free(&j);
}

static void layouts(void)
{
	layout_is(&plain, "id integer;n integer,number;b bignum", "id", "id integer key; n number; b number");
	layout_is(&plain, "x string,integer,number", NULL, "x string; x__it number");
	layout_is(&plain, "x string,number,integer", NULL, "x string; x__de number");
	layout_is(&plain, "x integer,string,object,array,boolean", NULL, "x integer; x__st string; x__bo boolean");
	layout_is(&plain, "at timestamp,date,string", NULL, "at time; at__st string");
	layout_is(&plain, "o object,string", NULL, "o string");
	layout_is(&plain, "id integer,string;a string", "id", "id integer key; a string");
	layout_is(&strict, "na-me! string;b integer,string", NULL, "name string; b integer; b__st string");
	layout_is(&plain, "_sdc_deleted_at timestamp", NULL, "_sdc_deleted_at time");
	layout_is(&plain, "", NULL, "");
	refused_is(&plain, "Name string;name string", 1, "Field collision on name");
	refused_is(&strict, "a-b string;a.b string", 1, "Field collision on a.b");
	refused_is(&plain, "_SDC_x string", 0, "_SDC_x has a reserved prefix (_sdc, _rjm)");
	refused_is(&plain, "__sdc_primary_key string", 0, "__sdc_primary_key has a reserved prefix (_sdc, _rjm)");
	refused_is(&plain, "x__ST string", 0, "x__ST has a reserved suffix (__ and two letters of a type)");
	refused_is(&plain, "x_st string;st string;__st string", 2, "none");
	refused_is(&strict, "elevenchars string", 0, "the name of field elevenchars is longer than 10 bytes");
	refused_is(&strict, "tenchars10 string", 0, "none");
	refused_is(&strict, "--- string", 0, "the name of field [---] has no character that can stand in a column's name");
	refused_is(&strict, "a string;b string;c string;d string;e string;f string;g string", 5, "none");
	refused_is(&strict, "a string;b string;c string;d string;e string;f string;g string", 6, "g would be one column more than the 12 that a table can have");
}

static void tables(void)
{
	struct job j = job_of("id integer", "id");
	struct layouts los;
	struct err e = ERR_INIT;

	if (layouts_make(&j, &plain, false, &los, &e))
		bail("%s", e.text);
	ok(los.t[0].has_table && los.t[0].n_keys == 1 && los.t[0].row_id == NO_COLUMN && los.t[0].extracted == NO_COLUMN, "a key, so no id of our own");
	is_str("_sdc_sequence", los.t[0].columns[los.t[0].sequence].name, "sequence");
	layouts_free(&los);
	free(j.keys[0]);
	j.keys[0] = xstrdup("other");
	if (layouts_make(&j, &plain, true, &los, &e))
		bail("%s", e.text);
	ok(!los.t[0].has_table, "a key that no record has: no table");
	is_str("_sdc_extracted_at", los.t[0].columns[los.t[0].extracted].name, "extracted at, when asked for");
	layouts_free(&los);
	free(j.table);
	j.table = xstrdup("a name that is longer than twenty");
	ok(layouts_make(&j, &strict, false, &los, &e) == -1 && e.code == ERR_DATA, "a table's name that is too long: %s", e.text);
	layouts_free(&los);
	free(j.table);
	j.table = xstrdup("_sdc_rejected");
	ok(layouts_make(&j, &plain, false, &los, &e) == -1 && e.code == ERR_DATA, "a table's name that is ours: %s", e.text);
	layouts_free(&los);
	job_free(&j);
}

/* "name bits;..." of what is there; bits as COL_TYPES letters i n b t s, f = fixed */
static struct table_desc desc_of(const char *columns, const char *key, const char *owner)
{
	struct table_desc d = {.exists = columns != NULL, .owner = owner ? xstrdup(owner) : NULL};
	char *copy, *save;

	if (!columns)
		return d;
	copy = xstrdup(columns);
	d.columns = xcalloc(200, sizeof(*d.columns));
	for (char *c = strtok_r(copy, ";", &save); c; c = strtok_r(NULL, ";", &save)) {
		char *bits = strrchr(c, ' ');
		struct desc_column *dc = &d.columns[d.n++];

		*bits++ = '\0';
		dc->name = xstrdup(c);
		for (; *bits; bits++)
			if (*bits == 'f')
				dc->fixed = true;
			else
				dc->accepts |= COL_BIT((unsigned)(strchr("inbts", *bits) - "inbts"));
	}
	free(copy);
	if (key) {
		d.keys = xcalloc(1, sizeof(*d.keys));
		d.keys[d.n_keys++] = xstrdup(key);
	}
	return d;
}

#define OURS ";_sdc_received_at t;_sdc_batched_at t;_sdc_sequence i;_sdc_table_version i"

static void plan_is(const char *fields, const char *key, const char *there, const char *there_key, const char *owner, const char *wanted)
{
	struct job j = job_of(fields, key);
	struct table_desc d = desc_of(there, there_key, owner);
	struct layouts los;
	struct plan p = {.n = 0};
	struct err e = ERR_INIT;
	struct buf b = BUF_INIT;

	if (layouts_make(&j, &plain, false, &los, &e))
		bail("%s", e.text);
	if (plan_make(&j, &plain, &los.t[0], &d, &p, &e)) {
		buf_addf(&b, "%s: %s", err_name(e.code), e.text);
	} else {
		for (size_t k = 0; k < p.n; k++) {
			const struct column *c = p.steps[k].column;
			const char *kind = p.steps[k].kind == STEP_CREATE ? "create" : p.steps[k].kind == STEP_ADD ? "add" : "widen";

			buf_addf(&b, "%s%s", b.len ? "; " : "", kind);
			if (c)
				buf_addf(&b, " %s %s", c->name, type_names[c->type]);
		}
		plan_free(&p);
	}
	is_str(wanted, buf_cstr(&b), "%s over %s", fields, there ? there : "nothing");
	buf_free(&b);
	layouts_free(&los);
	table_desc_free(&d);
	job_free(&j);
}

static void plans(void)
{
	plan_is("id integer", "id", NULL, NULL, NULL, "create");
	plan_is("", "id", NULL, NULL, NULL, "");
	plan_is("id integer", "id", "id i" OURS, "id", "shop", "");
	plan_is("id integer;a string;b boolean", "id", "id i" OURS, "id", "shop", "add a string; add b boolean");
	plan_is("id integer;n integer,number", "id", "id i;n i" OURS, "id", "shop", "widen n number");
	plan_is("id integer;n integer", "id", "id i;n in" OURS, "id", "shop", "");
	plan_is("id number", "id", "ID i" OURS, "id", "shop", "widen ID number");
	/* another truth there: left alone */
	plan_is("id integer;x string", "id", "id i;x i" OURS, "id", "shop", "add x__st string");
	plan_is("id integer;x string", "id", "id i;X i;x__ST ts" OURS, "id", "shop", "");
	plan_is("id integer;x string", "id", "id i;x sf" OURS, "id", "shop", "add x__st string");
	plan_is("id integer;x string", "id", "id i;x i;x__st b" OURS, "id", "shop",
		"config: column x of orders has a type that cannot hold the values sent for it; rename the column or the table there");
	plan_is("id string", "id", "id i" OURS, "id", "shop", "config: column id of orders has a type that cannot hold the values sent for it; rename the column or the table there");
	plan_is("id integer", "id", "id i" OURS, "id", "other", "config: the table orders belongs to source other; connect source shop with another --schema");
	plan_is("", "id", "id i" OURS, "id", "other", "config: the table orders belongs to source other; connect source shop with another --schema");
	plan_is("id integer", "id", "id i;name s", "id", NULL,
		"config: the table orders is there already and was not made by stitch; rename it, or connect source shop with another --schema");
	plan_is("id integer", "id", "id i" OURS, "id", NULL, "");
	plan_is("id integer;b integer", "b", "id i;b i" OURS, "id", "shop",
		"config: the primary key of orders is id in the destination and b in the records; send the same key, or rename or drop the table there, then it is made anew");
	plan_is("a integer", NULL, "a i;__sdc_primary_key s" OURS, "a", "shop",
		"config: the primary key of orders is a in the destination and none in the records; send the same key, or rename or drop the table there, then it is made anew");
}

int main(void)
{
	plan_lazy();
	layouts();
	tables();
	plans();
	return done_testing();
}
