/*
 * pattern.h - regular expressions that come from outside, as JSON Schema writes them (ECMA 262): searched for in UTF-8 text in time bounded by
 * length x size, whatever the expression. Understood: literals, ".", classes, \d \w \s \D \W \S \b \B, escapes of characters, groups (named
 * and not), alternatives, * + ? {n,m} and their lazy forms, ^ and $. Not understood, and refused: what needs backtracking (look-ahead,
 * look-behind, back references), \p{}, flags, and what is larger than the limits. Owner: the caller; a pattern is used by one thread at a time.
 */
#ifndef STITCH_PATTERN_H
#define STITCH_PATTERN_H

#include "base.h"
#include "str.h"

#define PATTERN_SIZE_MAX 4000u /* instructions */

struct pattern;
/* NULL: not understood, or too large. *work: characters that may be read for it and others, which counts have read again; less by what it took. */
struct pattern *pattern_new(struct str utf8, uint32_t *work) MUST_CHECK;
void pattern_free(struct pattern *p);
size_t pattern_bytes(const struct pattern *p); /* memory that it takes */
/* Does it match anywhere in the text (valid UTF-8)? 1: yes; 0: no; -1: *steps were used up before that was known. */
int pattern_match(struct pattern *p, struct str text, uint64_t *steps) MUST_CHECK;

#endif
