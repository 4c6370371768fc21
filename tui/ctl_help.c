/*
 * ctl_help.c - help, "did you mean", and the words that shells complete with. All of it is made from the command table, so it cannot be out of date.
 */
#include "ctl.h"

#include "i18n.h"
#include "xalloc.h"

/* Typed by people, and not hidden by an earlier one with the same words. */
static bool shown(size_t k)
{
	if (!ctl_commands[k].words[0])
		return false;
	for (size_t i = 0; i < k; i++)
		if (strcmp(ctl_commands[i].words, ctl_commands[k].words) == 0)
			return false;
	return true;
}

static bool begins_with(const char *words, const char *first)
{
	size_t n = strlen(first);

	return strncmp(words, first, n) == 0 && (words[n] == ' ' || words[n] == '\0');
}

/* --- help --- */

void ctl_usage(FILE *f, const struct ctl_command *cmd)
{
	fprintf(f, _("usage: stitchctl %s%s%s%s\n"), cmd->words, *cmd->spec ? " " : "", cmd->spec, ctl_is_list(cmd) ? " [--limit N]" : "");
}

int ctl_help_on(const struct ctl_command *cmd)
{
	ctl_usage(stdout, cmd);
	printf("\n%s.\n", _(cmd->help));
	if (strstr(cmd->spec, "--set"))
		printf("\n%s\n", _("KEY=@FILE reads the value from a file, KEY=- from standard input (asked for without echo on a terminal)."));
	if (cmd->own == ctl_push)
		printf("\n%s\n",
			_("Each line is a JSON object, one record. The token is --token TOKEN or @FILE, else STITCH_TOKEN, else one of the daemon's own\n"
			  "(its user and root only). --skip N leaves the first N lines out: it is what to go on with after a failure."));
	printf("\n%s\n", cmd->act ? _("Acts: for the daemon's own user and root.") : _("Looks: for the socket's group too."));
	return CTL_DONE;
}

static void list(const char *first)
{
	static const char *const nouns[] = {"status", "source", "token", "client", "destination", "connect", "disconnect", "push", "flush", "table", "job", "reject", "hook", "batch",
		"where", "pause", "resume", "event", "audit", "store", "state", "config", "help"};

	for (size_t n = 0; n < ARRAY_LEN(nouns); n++)
		for (size_t k = 0; k < ctl_commands_len; k++)
			if (shown(k) && begins_with(ctl_commands[k].words, nouns[n]) && (!first || begins_with(ctl_commands[k].words, first)))
				printf("  %-20s %s\n", ctl_commands[k].words, _(ctl_commands[k].help));
}

static unsigned count(const char *first)
{
	unsigned n = 0;

	for (size_t k = 0; k < ctl_commands_len; k++)
		n += shown(k) && begins_with(ctl_commands[k].words, first);
	return n;
}

int ctl_help(struct ctl *c)
{
	const char *noun = ctl_param(c, "noun"), *verb = ctl_param(c, "verb"), *near;
	char *words = verb ? xasprintf("%s %s", noun, verb) : xstrdup(noun ? noun : "");
	const struct ctl_command *exact = NULL;
	int rc = CTL_DONE;

	for (size_t k = ctl_commands_len; k-- > 0;)
		if (*words && strcmp(ctl_commands[k].words, words) == 0)
			exact = &ctl_commands[k];
	if (exact)
		rc = ctl_help_on(exact);
	if (*words && count(words) > (exact ? 1 : 0)) {
		list(words);
	} else if (*words && !exact) {
		near = ctl_suggest(words);
		fprintf(stderr, _("stitchctl: help: there is no command \"%s\""), words);
		if (near)
			fprintf(stderr, _("; did you mean %s?"), near);
		fputc('\n', stderr);
		rc = CTL_USAGE;
	} else if (!*words) {
		puts(_("usage: stitchctl [--socket PATH] [--json] NOUN VERB [ARG...] [--set KEY=VALUE...]\n"));
		list(NULL);
		puts(_("\nstitchctl help NOUN VERB explains one. Exit status: 0 done, 1 refused or failed, 2 usage, 3 daemon not reachable;\n"
		       "status: 10 with warnings, 20 while a source or destination fails. Manual: stitchctl(1)."));
	}
	free(words);
	return rc;
}

/* --- did you mean --- */

static unsigned distance(const char *a, const char *b)
{
	unsigned row[64], la = (unsigned)strlen(a), lb = (unsigned)strlen(b);

	if (la > 40 || lb > 40)
		return 99;
	for (unsigned j = 0; j <= lb; j++)
		row[j] = j;
	for (unsigned i = 1; i <= la; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= lb; j++) {
			unsigned other = MIN(row[j], row[j - 1]) + 1, same = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			row[j] = MIN(other, same);
		}
	}
	return row[lb];
}

static void nearer(const char *typed, const char *what, const char *answer, const char **best, unsigned *least)
{
	unsigned d = distance(typed, what);

	/* a third of it may be wrong */
	if (d < *least && d <= MAX(strlen(typed) / 3, 1)) {
		*best = answer;
		*least = d;
	}
}

const char *ctl_suggest(const char *words)
{
	static char noun_words[200];
	const char *best = NULL;
	unsigned least = 99;
	struct buf b = BUF_INIT;
	const char *blank = strchr(words, ' ');
	char *first = blank ? xstrndup(words, (size_t)(blank - words)) : xstrdup(words);

	for (size_t k = 0; k < ctl_commands_len; k++) {
		if (!shown(k))
			continue;
		nearer(words, ctl_commands[k].words, ctl_commands[k].words, &best, &least);
		if (blank && !strchr(ctl_commands[k].words, ' '))
			nearer(first, ctl_commands[k].words, ctl_commands[k].words, &best, &least);
	}
	/* the noun is known: all that can be done with it */
	if (!best && count(first)) {
		for (size_t k = 0; k < ctl_commands_len; k++)
			if (shown(k) && begins_with(ctl_commands[k].words, first))
				buf_addf(&b, b.len ? ", %s" : "%s", ctl_commands[k].words);
		str_copy(noun_words, sizeof(noun_words), buf_str(&b));
		best = noun_words;
	}
	buf_free(&b);
	free(first);
	return best;
}

const char *ctl_suggest_option(const struct ctl_command *cmd, const char *option)
{
	static char near[64];
	struct str rest = str_c(cmd->spec);
	struct ctl_item it;
	unsigned least = 99;
	const char *best = NULL;
	char name[64];

	while (ctl_spec_next(&rest, &it)) {
		if (!it.option || str_copy(name, sizeof(name), it.name))
			continue;
		nearer(option, name, name, &best, &least);
		if (best == name) {
			str_copy(near, sizeof(near), it.name);
			best = near;
		}
	}
	return best;
}

/* --- completion --- */

/* Names that the daemon knows; nothing when it does not answer at once. */
static void names_of(struct ctl *c, const char *method, const char *field)
{
	char *path = rpc_client_path(c->socket);
	struct err e = ERR_INIT;
	json_t *v = NULL, *one;
	size_t k;

	c->client = rpc_client_open(path, "stitchctl", NSEC_PER_SEC, &e);
	if (c->client)
		v = rpc_client_call(c->client, method, json_object(), NSEC_PER_SEC, &e);
	json_array_foreach(json_object_get(v, "items"), k, one)
		if (json_is_string(json_object_get(one, field)))
			puts(json_string_value(json_object_get(one, field)));
	json_decref(v);
	rpc_client_free(c->client);
	free(path);
}

static void words_for(struct ctl *c, const struct ctl_command *cmd, struct str kind)
{
	bool source = begins_with(cmd->words, "source") || begins_with(cmd->words, "token");

	if (str_eqc(kind, "SOURCE") || (str_eqc(kind, "NAME") && source))
		names_of(c, "source.list", "name");
	else if (str_eqc(kind, "DESTINATION") || (str_eqc(kind, "NAME") && begins_with(cmd->words, "destination")))
		names_of(c, "destination.list", "name");
	else if (str_eqc(kind, "TABLE"))
		names_of(c, "table.list", "table");
	else if (str_eqc(kind, "KIND") && (begins_with(cmd->words, "pause") || begins_with(cmd->words, "resume")))
		puts("source\ntable\ndestination\njob");
	else if (str_eqc(kind, "KIND"))
		puts(source ? "import\nwebhook" : "sqlite\npostgres\nredshift\nsnowflake\nbigquery\ns3");
	else if (str_eqc(kind, "STATE"))
		puts("ready\nactive\ndeferred\nheld\nrejected\ncorrupt\ndiscarded\ndone");
}

static void next_words(char **argv, size_t n)
{
	for (size_t k = 0; k < ctl_commands_len; k++) {
		struct str rest = str_c(ctl_commands[k].words);
		bool fits = shown(k);

		for (size_t w = 0; w < n && fits; w++) {
			size_t len = strlen(argv[w]);

			fits = rest.len > len && strncmp(rest.ptr, argv[w], len) == 0 && rest.ptr[len] == ' ';
			if (fits)
				rest = str_mem(rest.ptr + len + 1, rest.len - len - 1);
		}
		if (fits)
			printf("%.*s\n", (int)strcspn(rest.ptr, " "), rest.ptr);
	}
}

/* What may follow the words typed so far, one a line. */
int ctl_completion_words(struct ctl *c, int argc, char **argv)
{
	const struct ctl_command *cmd;
	struct ctl_item it;
	struct str rest;
	size_t n = 0, used;
	unsigned given = 0, at = 0;
	bool value = false;

	for (int k = 0; k < argc; k++) {
		if (strcmp(argv[k], "--socket") == 0 && k + 1 < argc)
			c->socket = argv[++k];
		else if (strcmp(argv[k], "--json") != 0)
			argv[n++] = argv[k];
	}
	cmd = ctl_find(argv, n, &used);
	if (!cmd || (n == used && count(cmd->words) > 1))
		next_words(argv, n);
	if (!cmd) {
		if (!n)
			puts("--socket\n--json\n--help\n--version");
		return CTL_DONE;
	}
	for (size_t k = used; k < n; k++) {
		value = false;
		for (rest = str_c(cmd->spec); ctl_spec_next(&rest, &it);)
			if (it.option && str_eqc(it.name, argv[k]) && it.value.len) {
				value = true;
				break;
			}
		if (value && k + 1 == n) {
			words_for(c, cmd, it.value);
			return CTL_DONE;
		}
		k += value;
		given += !value && argv[k][0] != '-';
	}
	for (rest = str_c(cmd->spec); ctl_spec_next(&rest, &it);) {
		if (it.option)
			printf("%.*s\n", (int)it.name.len, it.name.ptr);
		else if (at++ == given)
			words_for(c, cmd, it.name);
	}
	puts("--json\n--help");
	return CTL_DONE;
}
