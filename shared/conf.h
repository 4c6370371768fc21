/*
 * conf.h - a config file of `key = value` lines (# comments, no sections) into a struct, by a table that also makes --help and the
 * man page. A value `@FILE` reads the file (secrets). Unknown keys, duplicates and bad values are errors that name file and line.
 */
#ifndef STITCH_CONF_H
#define STITCH_CONF_H

#include "base.h"
#include "buf.h"
#include "err.h"

enum conf_type { CONF_STRING /* char * */, CONF_INT /* int64_t */, CONF_BYTES /* uint64_t, 64M */, CONF_DURATION /* int64_t ns, 10s */, CONF_BOOL /* bool */ };

struct conf_key {
	const char *name;
	enum conf_type type;
	const char *def; /* as it would stand in the file; NULL: none */
	int64_t min, max; /* INT, BYTES, DURATION (ns); both 0: any */
	size_t offset;	 /* in the struct */
	bool reload;	 /* taken by SIGHUP without a restart */
	const char *help;
};

int conf_defaults(const struct conf_key *keys, size_t n, void *into, struct err *e) MUST_CHECK;
int conf_set(const struct conf_key *keys, size_t n, void *into, const char *key, struct str value, struct err *e) MUST_CHECK;
int conf_read(const struct conf_key *keys, size_t n, void *into, const char *path, struct err *e) MUST_CHECK;
void conf_free(const struct conf_key *keys, size_t n, void *into); /* strings */
void conf_help(const struct conf_key *keys, size_t n, struct buf *out);

#endif
