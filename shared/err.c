/*
 * err.c - filling struct err. Text that does not fit is cut; a cut message is better than none. Nothing here allocates, so that
 * an error can be reported when memory is short.
 */
#include "err.h"

#include <errno.h>

int err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return -1;
	e->code = code;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	return -1;
}

static enum err_code code_of_errno(int errnum)
{
	switch (errnum) {
	case ENOSPC:
	case EDQUOT:
	case ENOMEM:
		return ERR_FULL;
	case ENOENT:
		return ERR_NOT_FOUND;
	case EEXIST:
		return ERR_EXISTS;
	case EACCES:
	case EPERM:
		return ERR_DENIED;
	case ETIMEDOUT:
		return ERR_TIMEOUT;
	default:
		return ERR_IO;
	}
}

int err_errno(struct err *e, int errnum, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (!e)
		return -1;
	e->code = code_of_errno(errnum);
	va_start(ap, fmt);
	n = vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(e->text))
		snprintf(e->text + n, sizeof(e->text) - (size_t)n, ": %s", errno_text(errnum));
	return -1;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
	char was[sizeof(e->text)];
	va_list ap;
	int n;

	if (!e)
		return -1;
	memcpy(was, e->text, sizeof(was));
	va_start(ap, fmt);
	n = vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	/* what does not fit is cut; the result is looked at because compilers warn of that otherwise */
	if (n >= 0 && (size_t)n < sizeof(e->text) && snprintf(e->text + n, sizeof(e->text) - (size_t)n, ": %s", was) < 0)
		e->text[n] = '\0';
	return -1;
}

void err_clear(struct err *e)
{
	if (e) {
		e->code = ERR_NONE;
		e->text[0] = '\0';
	}
}

const char *err_name(enum err_code code)
{
	static const char *const names[] = {"none", "invalid", "not_found", "exists", "denied", "state", "io", "full", "timeout",
		"corrupt", "version", "transient", "config", "data", "internal"};

	return (size_t)code < ARRAY_LEN(names) ? names[code] : "internal";
}

const char *errno_text(int errnum)
{
	const char *s = strerrordesc_np(errnum);

	return s ? s : "unknown error";
}
