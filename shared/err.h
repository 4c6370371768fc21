/*
 * err.h - what went wrong, as a code for the program and a complete sentence for a person.
 *
 * A struct err is plain data, mostly on the caller's stack, zeroed by ERR_INIT. Functions that can fail take one as their last
 * argument (it may be NULL), return -1 or NULL, and fill it; text never holds a secret. Thread: its owner's.
 */
#ifndef STITCH_ERR_H
#define STITCH_ERR_H

#include "base.h"

enum err_code {
	ERR_NONE = 0,
	ERR_INVALID,	/* the caller's or the sender's input is wrong */
	ERR_NOT_FOUND,
	ERR_EXISTS,
	ERR_DENIED,	/* not allowed */
	ERR_STATE,	/* not possible in the present state (paused, busy, ended) */
	ERR_IO,		/* read, write, sync, network */
	ERR_FULL,	/* disk, memory or a bounded queue is full */
	ERR_TIMEOUT,
	ERR_CORRUPT,	/* checksum, format, wrong owner */
	ERR_VERSION,	/* newer than this program */
	ERR_TRANSIENT,	/* destination: try again later */
	ERR_CONFIG,	/* destination or source: a person must change a setting or a right */
	ERR_DATA,	/* destination: a record is not acceptable */
	ERR_INTERNAL,
};

struct err {
	enum err_code code;
	char text[600];
};

#define ERR_INIT ((struct err){.code = ERR_NONE})

/* Fill; always return -1, so that `return err_set(...)` reads well. err_errno appends ": " and the system's words for errnum and
 * picks ERR_FULL for ENOSPC/EDQUOT, ERR_NOT_FOUND for ENOENT, ERR_DENIED for EACCES/EPERM, else ERR_IO. */
int err_set(struct err *e, enum err_code code, const char *fmt, ...) PRINTF(3, 4);
int err_errno(struct err *e, int errnum, const char *fmt, ...) PRINTF(3, 4);
/* Put "prefix: " before the text that is there ("load of shop.orders: ..."); returns -1. */
int err_wrap(struct err *e, const char *fmt, ...) PRINTF(2, 3);
void err_clear(struct err *e);
/* "invalid", "not_found", ...: the stable name used in JSON. Never NULL. */
const char *err_name(enum err_code code);
/* The system's words for errnum, thread-safe (strerrordesc_np); never NULL. */
const char *errno_text(int errnum);

#endif
