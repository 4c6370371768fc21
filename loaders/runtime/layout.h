/*
 * layout.h - which columns a job's fields become, with their names and types. Pure; layout_make's result is the caller's (layout_free).
 *
 * A field seen with one type is one column; integer, bignum and number share one. Further types get columns of their own, NAME__xx, in order of appearance.
 * Objects and arrays are JSON text in a string column. `date` is a timestamp at midnight.
 */
#ifndef STITCH_LOADER_LAYOUT_H
#define STITCH_LOADER_LAYOUT_H

#include "base.h"
#include "buf.h"
#include "err.h"
#include "loaders/runtime/job.h"
#include "map.h"
#include "str.h"

enum col_type { COL_INTEGER /* int64 */, COL_NUMBER /* any decimal, exact */, COL_BOOLEAN, COL_TIME /* UTC, us */, COL_STRING, COL_TYPES };
#define COL_BIT(type) (1u << (type))

/* How a kind of destination names and limits things. Static data of the destination. */
struct dialect {
	const char *suffix[COL_TYPES];	/* "it", "de", "bo", "ti", "st" */
	const char *const *reserved;	/* suffixes that a sender's name may not have ("bi", "it", ...), NULL at the end */
	size_t column_max, table_max;	/* bytes of a name, room for __xx already taken off; 0: no limit */
	unsigned columns_max;		/* per table */
	bool strip_special;		/* of ASCII only letters, digits, blank, _ and $ stay in names */
	bool case_matters;		/* "a" and "A" are two columns */
	bool nul_ok;			/* may a string hold U+0000? */
	unsigned int_digits, frac_digits; /* of a COL_NUMBER; 0: no limit */
};

struct column {
	char *name;
	enum col_type type;
	bool key; /* part of the primary key: never NULL */
	bool sdc; /* one of ours */
};

#define NO_COLUMN SIZE_MAX
/* A field of the sender: where each type of value goes, or why a record that has it is rejected. */
struct layout_field {
	char *name;		   /* as sent */
	size_t column[COL_TYPES];  /* index into columns, or NO_COLUMN */
	bool key;
	char *refused;		   /* reason; NULL: none */
};

/* Columns of a row: the sender's in the job's order, then ours. */
struct layout {
	struct column *columns;
	size_t n, n_user;    /* n_user of them are the sender's */
	bool has_table;	     /* else no record of the job can become a row: no column of the sender's, or a key without one */
	size_t *keys;	     /* columns of the key, in the order of the job's key names */
	size_t n_keys;	     /* 0: append-only */
	/* ours; NO_COLUMN where it is not wanted (the first two) */
	size_t extracted, row_id, received, batched, sequence, version; /* the last two are COL_INTEGER and never NULL */
	char *table;	     /* canonical name of the table */
	struct layout_field *fields;
	size_t n_fields;
	struct map by_name;  /* field's name -> its struct layout_field */
};

/* with_extracted: some record has time_extracted, so _sdc_extracted_at is there. -1: ERR_DATA, the table cannot be named here. */
int layout_make(const struct job *j, const struct dialect *d, bool with_extracted, struct layout *out, struct err *e) MUST_CHECK;
void layout_free(struct layout *lo);
/* The name as the destination has it (special characters removed), appended. */
void dialect_name(const struct dialect *d, struct str name, struct buf *out);

#endif
