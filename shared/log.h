/*
 * log.h - structured log lines on stderr: `<N>` priority prefix for the journal when $JOURNAL_STREAM is set, one JSON object a
 * line with log_format(LOG_JSON), else "time level component: text key=value". Any thread. Never a secret. The text is not
 * translated. A line is at most 4 KiB; control characters in values are escaped.
 */
#ifndef STITCH_LOG_H
#define STITCH_LOG_H

#include "base.h"

enum log_level { LOG_LVL_ERR = 3, LOG_LVL_WARN = 4, LOG_LVL_INFO = 6, LOG_LVL_DEBUG = 7 };
enum log_format { LOG_FMT_TEXT, LOG_FMT_JOURNAL, LOG_FMT_JSON };

void log_setup(enum log_level max, enum log_format fmt);
void log_settings(enum log_level *max, enum log_format *fmt);
/* Name of the calling thread's part of the program ("queue", "stream-0"); the pointer must stay valid. */
void log_context(const char *component);
void log_msg(enum log_level level, const char *fmt, ...) PRINTF(2, 3);

#define log_err(...) log_msg(LOG_LVL_ERR, __VA_ARGS__)
#define log_warn(...) log_msg(LOG_LVL_WARN, __VA_ARGS__)
#define log_info(...) log_msg(LOG_LVL_INFO, __VA_ARGS__)
#define log_debug(...) log_msg(LOG_LVL_DEBUG, __VA_ARGS__)

#endif
