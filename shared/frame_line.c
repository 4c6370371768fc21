/*
 * frame_line.c - head and record lines taken apart. They are ours, so the keys stand in one order and without white space, and a record costs a few
 * comparisons: its data is not looked into (the loader scans it anyway). A line that is not exactly so is refused; nothing is read beyond it.
 */
#include "frame.h"

#include "jscan.h"

static bool pass(struct str *s, struct str word)
{
	if (!str_starts(*s, word))
		return false;
	*s = str_mem(s->ptr + word.len, s->len - word.len);
	return true;
}

static struct str pass_number(struct str *s)
{
	size_t n = s->len && s->ptr[0] == '-' ? 1 : 0, digits = n;
	struct str number;

	while (n < s->len && s->ptr[n] >= '0' && s->ptr[n] <= '9')
		n++;
	number = n > digits ? str_mem(s->ptr, n) : STR_NULL;
	*s = str_mem(s->ptr + n, s->len - n);
	return number;
}

/* A JSON string with its quotes, its escapes not looked into. */
static struct str pass_string(struct str *s)
{
	size_t n = 1;
	struct str string;

	if (!s->len || s->ptr[0] != '"')
		return STR_NULL;
	while (n < s->len && s->ptr[n] != '"')
		n += s->ptr[n] == '\\' ? 2 : 1;
	if (n >= s->len)
		return STR_NULL;
	string = str_mem(s->ptr, n + 1);
	*s = str_mem(s->ptr + n + 1, s->len - n - 1);
	return string;
}

static int not_a_record(struct err *e)
{
	return err_set(e, ERR_CORRUPT, "a line of the batch file is not a record as stitchd writes them");
}

int frame_record_parse(struct str line, struct frame_record *out, struct err *e)
{
	*out = (struct frame_record){.activate = false};
	if (pass(&line, STR("{\"action\":\"activate_version\",\"sequence\":"))) {
		out->activate = true;
		out->sequence = pass_number(&line);
		return out->sequence.ptr && str_eq(line, STR("}")) ? 0 : not_a_record(e);
	}
	if (!pass(&line, STR("{\"action\":\"upsert\",\"sequence\":")))
		return not_a_record(e);
	out->sequence = pass_number(&line);
	if (!out->sequence.ptr)
		return not_a_record(e);
	if (pass(&line, STR(",\"time_extracted\":"))) {
		out->time_extracted = pass_string(&line);
		if (!out->time_extracted.ptr)
			return not_a_record(e);
	}
	if (!pass(&line, STR(",\"data\":")) || line.len < 3 || line.ptr[0] != '{' || !str_ends(line, STR("}}")))
		return not_a_record(e);
	out->data = str_mem(line.ptr, line.len - 1);
	return 0;
}

/* --- heads --- */

static enum jscan_token value_of(struct jscan *s, struct str quoted_key)
{
	if (jscan_next(s) != JSCAN_KEY || !str_eq(s->tok, quoted_key))
		return JSCAN_ERROR;
	return jscan_skip(s);
}

static bool integer_of(struct jscan *s, struct str quoted_key, int64_t *out)
{
	return value_of(s, quoted_key) == JSCAN_NUMBER && s->tok_integer && !str_to_i64(s->tok, out);
}

static bool parse_head(struct jscan *s, struct frame_head *out)
{
	enum jscan_token t;

	if (jscan_next(s) != JSCAN_OBJECT || !integer_of(s, STR("\"source\""), &out->source))
		return false;
	if (value_of(s, STR("\"table\"")) != JSCAN_STRING)
		return false;
	jscan_unescape(s->tok, &out->table);
	if (value_of(s, STR("\"key_names\"")) != JSCAN_ARRAY)
		return false;
	out->key_names = s->tok;
	t = value_of(s, STR("\"schema\""));
	if (t != JSCAN_OBJECT && t != JSCAN_NULL)
		return false;
	out->schema = s->tok;
	if (value_of(s, STR("\"types\"")) != JSCAN_OBJECT)
		return false;
	out->types = s->tok;
	return integer_of(s, STR("\"table_version\""), &out->table_version) && integer_of(s, STR("\"received_at\""), &out->received_at) &&
	       jscan_next(s) == JSCAN_OBJECT_END && jscan_next(s) == JSCAN_END;
}

int frame_head_parse(struct str line, struct frame_head *out, struct err *e)
{
	struct jscan s;

	out->source = out->table_version = out->received_at = 0;
	out->key_names = out->schema = out->types = STR_NULL;
	buf_truncate(&out->table, 0);
	jscan_init(&s, line.ptr, line.len, 0);
	if (parse_head(&s, out))
		return 0;
	return err_set(e, ERR_CORRUPT, "a line of the batch file is not a head as stitchd writes them");
}
