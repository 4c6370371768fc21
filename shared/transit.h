/*
 * transit.h - Transit (application/transit+json, array maps and verbose ones) into plain JSON text, in one pass over jscan. What plain JSON cannot say
 * is told beside it: `marks`, in the order of the text, say where a value stands that is a time or a decimal.
 *
 *   ~m ~t        the time as ISO 8601 text, marked TRANSIT_TIMESTAMP     ~~ ~^ ~`        the text without the first ~
 *   ~f ~n        the number as it is written, marked TRANSIT_DECIMAL     ~#' and ~'      the value
 *   ~i ~d        the number as it is written                             ~#set ~#list    the array
 *   ~z           null, and so is a NaN or an infinity under ~f or ~d     ~#cmap ~#ratio  the array [k1, v1, ...]; [numerator, denominator]
 *   ~? ~_        true or false; null                                     ~#u [hi, lo]    the UUID as text
 *   ~u ~b ~r ~c ~: ~$   the text; ~b stays base64                        other tags      their representation, the tag itself is dropped
 * A key is the text of its scalar. Anything else is an error at a byte of the input.
 *
 * The cache: a string of more than 3 characters that is a key or starts ~# ~: ~$ takes the next of 44 * 44 places, then the first again; "^0" .. "^[[" stand
 * for what a place holds. Writers count characters differently: one of two UTF-16 units counts as it is written, 2 as a pair of \u escapes, 1 as UTF-8.
 *
 * One thread. Does not recurse; reads nothing but body, which must stay during the call. The result is owned here and valid until the next call.
 */
#ifndef STITCH_TRANSIT_H
#define STITCH_TRANSIT_H

#include "base.h"
#include "buf.h"
#include "str.h"

#define TRANSIT_OUT_MAX (UINT32_MAX / 4)

enum transit_type { TRANSIT_DECIMAL = 1, TRANSIT_TIMESTAMP };

struct transit_mark {
	uint32_t at; /* where in the text the value begins */
	uint32_t type;
};

struct transit_state;
struct transit {
	struct buf out; /* the JSON text */
	struct transit_mark *marks;
	size_t n_marks, cap_marks;
	const char *error; /* static text; set with -1 */
	size_t error_at;   /* byte of the input */
	bool too_long;	   /* the error: the text would be longer than allowed (a few cached bytes can stand for many) */
	struct transit_state *state; /* private */
};

struct transit *transit_new(void) MUST_CHECK;
void transit_free(struct transit *t);
/* max_depth as for jscan. out_max: of the text, up to TRANSIT_OUT_MAX; it is passed by one value at most before it is an error. */
int transit_decode(struct transit *t, struct str body, unsigned max_depth, size_t out_max) MUST_CHECK;
void transit_reset(struct transit *t); /* empty; large memory is given back */

#endif
