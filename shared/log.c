/*
 * log.c - one write(2) a line, so that lines of several threads do not mix. The level and format are set once at start, before
 * other threads run. A line that cannot be written is lost: there is nowhere else to say so.
 */
#include "log.h"

#include <unistd.h>

static _Atomic enum log_level max_level = LOG_LVL_INFO;
static _Atomic enum log_format format = LOG_FMT_TEXT;
static _Thread_local const char *context = "main";

void log_setup(enum log_level max, enum log_format fmt)
{
	max_level = max;
	format = fmt;
}

void log_settings(enum log_level *max, enum log_format *fmt)
{
	*max = max_level;
	*fmt = format;
}

void log_context(const char *component)
{
	context = component;
}

static const char *level_name(enum log_level l)
{
	return l <= LOG_LVL_ERR ? "error" : l == LOG_LVL_WARN ? "warn" : l == LOG_LVL_INFO ? "info" : "debug";
}

/* Copy with control characters (and, for JSON, quotes and backslashes) escaped; returns bytes written, stops before the end. */
static size_t escape(char *dst, size_t size, const char *src, bool json)
{
	size_t n = 0;

	for (; *src && n + 7 < size; src++) {
		unsigned char c = (unsigned char)*src;

		if (c < 0x20 || c == 0x7f) {
			n += (size_t)snprintf(dst + n, size - n, "\\u%04x", c);
		} else if (json && (c == '"' || c == '\\')) {
			dst[n++] = '\\';
			dst[n++] = (char)c;
		} else {
			dst[n++] = (char)c;
		}
	}
	dst[n] = '\0';
	return n;
}

void log_msg(enum log_level level, const char *fmt, ...)
{
	char text[3500], line[4096], when[40];
	struct timespec ts;
	struct tm tm;
	size_t n = 0, w;
	va_list ap;

	if (level > max_level)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	w = strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(when + w, sizeof(when) - w, ".%03ldZ", ts.tv_nsec / 1000000);
	if (format == LOG_FMT_JSON) {
		n = (size_t)snprintf(line, sizeof(line), "{\"time\":\"%s\",\"level\":\"%s\",\"part\":\"%s\",\"text\":\"", when,
			level_name(level), context);
		n += escape(line + n, sizeof(line) - n - 4, text, true);
		line[n++] = '"';
		line[n++] = '}';
	} else {
		if (format == LOG_FMT_JOURNAL)
			n = (size_t)snprintf(line, sizeof(line), "<%d>%s: ", (int)level, context);
		else
			n = (size_t)snprintf(line, sizeof(line), "%s %s %s: ", when, level_name(level), context);
		n += escape(line + n, sizeof(line) - n - 2, text, false);
	}
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) < 0)
		return;
}
