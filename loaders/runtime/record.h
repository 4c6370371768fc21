/*
 * record.h - nested columns, for destinations that keep records nested (NEST_RECORD): the tree of columns of an object or array, what of it a table lacks, and a
 * sender's value in the form that the destination takes. Pure, but for the trees that are filled; a tree is as old as its layout. One thread.
 *
 * A column of objects is COL_JSON with its members in `sub`. A column of arrays is COL_JSON, `repeated`, with one nameless column in `sub`: its elements. They are
 * of one type, that of the first element seen, and never NULL; one without a value is none. An array in an array is an object with one member `value`. Of a nested field integers and other
 * numbers share a column unless integers came first; each further type has one of its own, NAME__xx.
 */
#ifndef STITCH_LOADER_RECORD_H
#define STITCH_LOADER_RECORD_H

#include "loaders/runtime/loader.h"

/* Fills c->sub, n_sub and repeated: c holds the objects (or, with array, the arrays) of f. The fields in f learn where their values go: column[], object and
 * array are indexes into the `sub` of what they lie in. *room: how many more columns the table may have, counted down (0 and less: refused). False: there is
 * nothing in it that could be a column (objects without members, empty arrays); then c is not wanted, and values without content are simply dropped. */
bool record_columns(const struct dialect *d, struct layout_field *f, bool array, struct column *c, int *room);
void record_columns_free(struct column *c); /* what c->sub holds */
/*
 * c against what is there: nested columns take the names as they are there (case), those whose type there cannot hold their values take NAME__xx. *lacks: some are
 * not there, so that a STEP_NEST is due. -1: dc is of another shape altogether (an object's column where arrays come, a scalar): not this column.
 */
int record_fit(const struct dialect *d, struct column *c, const struct desc_column *dc, bool *lacks) MUST_CHECK;

/* column.decimal of this field's numbers. */
bool record_is_decimal(const struct layout_field *f);

/* The sender's value of f, an object or (with array) an array, as JSON in the destination's form and with its names, appended to out. told: of the row, or NULL.
 * Nothing is appended for one without a value in it. 0, or -1 with the reason in why, and out as it was. */
int record_value(const struct dialect *d, const struct layout_field *f, bool array, const struct column *c, const unsigned char *told, struct str value, struct buf *out,
	struct buf *why) MUST_CHECK;
/* Appended: a JSON number as the double it is, if that double prints back to it; or as text of a decimal, if that has not more than 29 digits before the point and
 * 9 after it. Else -1. */
int record_double(struct str number, struct buf *out) MUST_CHECK;
int record_decimal(struct str number, struct buf *out) MUST_CHECK;

#endif
