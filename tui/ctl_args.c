/*
 * ctl_args.c - words into a method and its parameters, by the usage lines of methods.def. Global options may stand anywhere before "--". The longest
 * command that the words begin with is taken, so "pause list" is not "pause" with a kind named list.
 *
 * What can go wrong: secrets. A value from a file or from standard input never stands in argv; at a terminal it is asked for without echo.
 */
#include "ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include "i18n.h"
#include "xalloc.h"

#define VALUE_MAX (900u << 10) /* it must fit a line of the protocol */

/* --- usage lines --- */

bool ctl_spec_next(struct str *rest, struct ctl_item *out)
{
	struct str s = str_trim(*rest), group;
	size_t end;

	if (!s.len)
		return false;
	*out = (struct ctl_item){.optional = s.ptr[0] == '['};
	for (end = 0; end < s.len && s.ptr[end] != (out->optional ? ']' : ' '); end++)
		;
	/* "--kind KIND": the value belongs to it */
	if (!out->optional && str_starts(s, STR("--")))
		for (end = MIN(end + 1, s.len); end < s.len && s.ptr[end] != ' '; end++)
			;
	group = out->optional ? str_mem(s.ptr + 1, end - 1) : str_mem(s.ptr, end);
	end = MIN(end + 1, s.len);
	*rest = str_mem(s.ptr + end, s.len - end);
	if (str_ends(group, STR("..."))) {
		out->repeat = true;
		group.len -= 3;
	}
	out->option = str_starts(group, STR("--"));
	out->name = group;
	for (size_t k = 0; k < group.len; k++)
		if (group.ptr[k] == ' ') {
			out->name = str_mem(group.ptr, k);
			out->value = str_trim(str_mem(group.ptr + k, group.len - k));
			break;
		}
	return true;
}

void ctl_key_of(const struct ctl_item *it, char key[64])
{
	size_t n = 0;

	for (size_t k = it->option ? 2 : 0; k < it->name.len && n < 63; k++) {
		char ch = it->name.ptr[k];

		key[n++] = (char)(ch == '-' ? '_' : ch >= 'A' && ch <= 'Z' ? ch - 'A' + 'a' : ch);
	}
	key[n] = '\0';
}

bool ctl_is_list(const struct ctl_command *cmd)
{
	struct str m = str_c(cmd->method);

	return str_ends(m, STR(".list")) || str_eqc(m, "table.show") || str_eqc(m, "batch.cat");
}

const struct ctl_command *ctl_find(char *const *words, size_t n_words, size_t *n)
{
	const struct ctl_command *best = NULL;

	*n = 0;
	for (size_t k = 0; k < ctl_commands_len; k++) {
		struct str rest = str_c(ctl_commands[k].words), word;
		size_t used = 0;

		while (rest.len && used < n_words) {
			const char *blank = memchr(rest.ptr, ' ', rest.len);

			word = str_mem(rest.ptr, blank ? (size_t)(blank - rest.ptr) : rest.len);
			if (!str_eqc(word, words[used]))
				break;
			rest = str_mem(rest.ptr + word.len, rest.len - word.len);
			rest = str_trim(rest);
			used++;
		}
		if (!rest.len && used > *n) {
			best = &ctl_commands[k];
			*n = used;
		}
	}
	return best;
}

/* --- values --- */

static int read_all(int fd, struct buf *b, const char *what, struct err *e)
{
	ssize_t n;

	do {
		buf_reserve(b, 4096);
		n = read(fd, b->data + b->len, 4096);
		if (n > 0)
			b->len += (size_t)n;
		b->data[b->len] = '\0';
	} while ((n > 0 && b->len <= VALUE_MAX) || (n < 0 && errno == EINTR));
	if (n < 0)
		return err_errno(e, errno, "%s", what);
	return b->len > VALUE_MAX ? err_set(e, ERR_INVALID, _("%s: longer than %u bytes"), what, VALUE_MAX) : 0;
}

static int ask(struct buf *b, const char *what, struct err *e)
{
	struct termios was, quiet;
	char ch;
	ssize_t n;

	fprintf(stderr, "%s: ", what);
	if (tcgetattr(0, &was))
		return err_errno(e, errno, "%s", what);
	quiet = was;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(0, TCSAFLUSH, &quiet);
	while ((n = read(0, &ch, 1)) == 1 && ch != '\n' && b->len < VALUE_MAX)
		buf_addc(b, ch);
	tcsetattr(0, TCSAFLUSH, &was);
	fputc('\n', stderr);
	return n < 0 ? err_errno(e, errno, "%s", what) : 0;
}

static int from_file(const char *path, struct buf *b, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;

	if (fd < 0)
		return err_errno(e, errno, "%s", path);
	rc = read_all(fd, b, path, e);
	close(fd);
	return rc;
}

char *ctl_value(const char *text, const char *what, struct err *e)
{
	struct buf b = BUF_INIT;
	int rc;

	if (text[0] != '@' && strcmp(text, "-") != 0)
		return xstrdup(text);
	if (text[0] == '@')
		rc = from_file(text + 1, &b, e);
	else
		rc = isatty(0) ? ask(&b, what, e) : read_all(0, &b, what, e);
	/* the newline that editors and echo put at the end is not meant */
	if (!rc && b.len && b.data[b.len - 1] == '\n')
		buf_truncate(&b, b.len - 1);
	if (!rc && b.len && b.data[b.len - 1] == '\r')
		buf_truncate(&b, b.len - 1);
	if (!rc && memchr(buf_cstr(&b), '\0', b.len))
		rc = err_set(e, ERR_INVALID, _("%s: it is not text"), what);
	if (rc) {
		if (b.data)
			explicit_bzero(b.data, b.len);
		buf_free(&b);
		return NULL;
	}
	return buf_detach(&b, NULL);
}

static int text_json(const char *text, const char *what, json_t **out, struct err *e)
{
	*out = json_string(text);
	return *out ? 0 : err_set(e, ERR_INVALID, _("%s: it is not UTF-8"), what);
}

/* Those of daemon/control/kinds.c; an empty value takes one away. */
static bool is_secret(const char *key)
{
	static const char *const names[] = {"password", "secret", "secret_old", "hook_secret", "private_key", "credentials", "secret_key", "session_token", "s3_secret_key",
		"s3_session_token"};

	for (size_t k = 0; k < ARRAY_LEN(names); k++)
		if (strcmp(names[k], key) == 0)
			return true;
	return false;
}

static int add_setting(json_t *params, const char *pair, struct err *e)
{
	const char *eq = strchr(pair, '=');
	json_t *set = json_object_get(params, "set"), *v;
	char *key, *value;
	int rc = -1;

	if (!eq || eq == pair)
		return err_set(e, ERR_INVALID, _("--set takes KEY=VALUE (or KEY=@FILE, KEY=-), not \"%s\""), eq ? pair : "...");
	if (!set) {
		set = json_object();
		json_object_set_new(params, "set", set);
	}
	key = xstrndup(pair, (size_t)(eq - pair));
	if (is_secret(key) && eq[1] && eq[1] != '@' && strcmp(eq + 1, "-") != 0) {
		err_set(e, ERR_INVALID, _("%s is a secret, and the command line is seen by others: give it as %s=@FILE, or %s=- for standard input"), key, key, key);
		free(key);
		return -1;
	}
	value = ctl_value(eq + 1, key, e);
	if (value && !text_json(value, key, &v, e)) {
		json_object_set_new(set, key, v);
		rc = 0;
	}
	if (value)
		explicit_bzero(value, strlen(value));
	free(value);
	free(key);
	return rc;
}

static int value_json(const struct ctl_item *it, const char *text, const char *what, json_t **out, struct err *e)
{
	struct str kind = it->option ? it->value : it->name;
	int64_t n;
	char *s;
	int rc;

	if (str_eqc(kind, "N") || str_eqc(kind, "SECONDS")) {
		if (!str_to_i64(str_c(text), &n) && n >= 0) {
			*out = json_integer(n);
			return 0;
		}
		if (str_eqc(kind, "N"))
			return err_set(e, ERR_INVALID, _("%s takes a number, not \"%s\""), what, text);
		if (str_to_duration(str_c(text), &n))
			return err_set(e, ERR_INVALID, _("%s takes seconds or a duration such as 5m, not \"%s\""), what, text);
	}
	if (!str_eqc(kind, "JSON"))
		return text_json(text, what, out, e);
	s = ctl_value(text, what, e);
	rc = s ? text_json(s, what, out, e) : -1;
	free(s);
	return rc;
}

/* --- a command's arguments --- */

static bool option_named(const struct ctl_command *cmd, struct str name, struct ctl_item *it)
{
	struct str rest = str_c(cmd->spec);

	while (ctl_spec_next(&rest, it))
		if (it->option && str_eq(it->name, name))
			return true;
	return false;
}

static bool positional(const struct ctl_command *cmd, unsigned at, struct ctl_item *it)
{
	struct str rest = str_c(cmd->spec);

	while (ctl_spec_next(&rest, it))
		if (!it->option && at-- == 0)
			return true;
	return false;
}

static int put(struct ctl *c, const struct ctl_item *it, const char *text, struct err *e)
{
	char key[64];
	json_t *v, *list;

	ctl_key_of(it, key);
	if (it->option && strcmp(key, "set") == 0)
		return add_setting(c->params, text, e);
	if (it->option && !it->value.len) {
		json_object_set_new(c->params, key, json_true());
		return 0;
	}
	if (value_json(it, text, it->option ? key : "argument", &v, e))
		return -1;
	if (!it->repeat) {
		json_object_set_new(c->params, key, v);
		return 0;
	}
	list = json_object_get(c->params, key);
	if (!list) {
		list = json_array();
		json_object_set_new(c->params, key, list);
	}
	json_array_append_new(list, v);
	return 0;
}

/* argv[*at] is an option of the command. */
static int take_option(struct ctl *c, char **argv, size_t n, size_t *at, struct err *e)
{
	char *text = argv[*at], *eq = strchr(text, '=');
	struct str name = eq ? str_mem(text, (size_t)(eq - text)) : str_c(text);
	const char *near;
	struct ctl_item it;

	if (str_eqc(name, "--limit") && ctl_is_list(c->cmd)) {
		const char *value = eq ? eq + 1 : *at + 1 < n ? argv[++*at] : "";

		if (str_to_i64(str_c(value), &c->limit) || c->limit < 1)
			return err_set(e, ERR_INVALID, _("--limit takes a number of items, not \"%s\""), value);
		return 0;
	}
	if (!option_named(c->cmd, name, &it)) {
		near = ctl_suggest_option(c->cmd, text);
		return near ? err_set(e, ERR_INVALID, _("there is no option %.*s; did you mean %s?"), STR_ARG(name), near)
			    : err_set(e, ERR_INVALID, _("there is no option %.*s"), STR_ARG(name));
	}
	if (!it.value.len)
		return eq ? err_set(e, ERR_INVALID, _("%.*s takes no value"), STR_ARG(name)) : put(c, &it, "", e);
	if (!eq && *at + 1 >= n)
		return err_set(e, ERR_INVALID, _("%.*s needs its %.*s"), STR_ARG(name), STR_ARG(it.value));
	return put(c, &it, eq ? eq + 1 : argv[++*at], e);
}

static int check_complete(struct ctl *c, struct err *e)
{
	struct str rest = str_c(c->cmd->spec);
	struct ctl_item it;
	char key[64];

	while (ctl_spec_next(&rest, &it)) {
		ctl_key_of(&it, key);
		if (!it.optional && !json_object_get(c->params, key))
			return err_set(e, ERR_INVALID, _("%.*s is missing"), STR_ARG(it.name));
	}
	return 0;
}

static int take_arguments(struct ctl *c, char **argv, size_t n, struct err *e)
{
	bool options = true;
	unsigned given = 0;
	struct ctl_item it;

	for (size_t k = 0; k < n; k++) {
		if (options && strcmp(argv[k], "--") == 0) {
			options = false;
		} else if (options && strncmp(argv[k], "--", 2) == 0) {
			if (take_option(c, argv, n, &k, e))
				return -1;
		} else if (!positional(c->cmd, given++, &it)) {
			return err_set(e, ERR_INVALID, _("\"%s\" is too much"), argv[k]);
		} else if (put(c, &it, argv[k], e)) {
			return -1;
		}
	}
	return c->help ? 0 : check_complete(c, e);
}

/* Takes the global options out; what is left stands in argv. */
static int take_globals(struct ctl *c, int argc, char **argv, size_t *n, struct err *e)
{
	bool options = true;

	*n = 0;
	for (int k = 0; k < argc; k++) {
		options = options && strcmp(argv[k], "--") != 0;
		if (options && strcmp(argv[k], "--json") == 0) {
			c->json = true;
		} else if (options && (strcmp(argv[k], "--help") == 0 || strcmp(argv[k], "-h") == 0)) {
			c->help = true;
		} else if (options && strcmp(argv[k], "--version") == 0) {
			c->version = true;
		} else if (options && strncmp(argv[k], "--socket=", 9) == 0) {
			c->socket = argv[k] + 9;
		} else if (options && strcmp(argv[k], "--socket") == 0) {
			if (k + 1 == argc)
				return err_set(e, ERR_INVALID, _("--socket needs its PATH"));
			c->socket = argv[++k];
		} else {
			argv[(*n)++] = argv[k];
		}
	}
	return 0;
}

int ctl_parse(struct ctl *c, int argc, char **argv, struct err *e)
{
	size_t n, used;
	const char *near;
	struct buf typed = BUF_INIT;

	c->params = json_object();
	if (take_globals(c, argc, argv, &n, e))
		return -1;
	if (!n)
		return c->help || c->version ? 0 : err_set(e, ERR_INVALID, _("what? stitchctl help lists the commands"));
	if (argv[0][0] == '-')
		return err_set(e, ERR_INVALID, _("there is no option %s here; stitchctl help lists the commands"), argv[0]);
	c->cmd = ctl_find(argv, n, &used);
	if (c->cmd)
		return take_arguments(c, argv + used, n - used, e);
	for (size_t k = 0; k < MIN(n, 2) && argv[k][0] != '-'; k++)
		buf_addf(&typed, k ? " %s" : "%s", argv[k]);
	near = ctl_suggest(buf_cstr(&typed));
	if (near)
		err_set(e, ERR_INVALID, _("there is no command \"%s\"; did you mean %s?"), buf_cstr(&typed), near);
	else
		err_set(e, ERR_INVALID, _("there is no command \"%s\"; stitchctl help lists them"), buf_cstr(&typed));
	buf_free(&typed);
	return -1;
}
