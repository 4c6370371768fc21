/*
 * layout.h - which tables and columns a job's fields become, with their names and types. Pure; layouts_make's result is the caller's (layouts_free) and borrows
 * from the job.
 *
 * A field seen with one type is one column; integer, bignum and number share one. Further types get columns of their own, NAME__xx, in order of appearance
 * (with rename_first the first one, too). `date` is a timestamp at midnight. What an object or array becomes is the dialect's `nesting`.
 */
#ifndef STITCH_LOADER_LAYOUT_H
#define STITCH_LOADER_LAYOUT_H

#include "base.h"
#include "buf.h"
#include "err.h"
#include "loaders/runtime/job.h"
#include "map.h"
#include "str.h"

enum col_type { COL_INTEGER /* int64 */, COL_NUMBER /* any decimal, exact */, COL_BOOLEAN, COL_TIME /* UTC, us */, COL_STRING, COL_JSON, COL_TYPES };
#define COL_BIT(type) (1u << (type))

enum nesting {
	NEST_TEXT,    /* objects and arrays are JSON text in a string column */
	NEST_FLATTEN, /* objects to columns a__b, arrays to subtables t__a; scalars of an array to its column `value` */
	NEST_KEEP,    /* object and array share a COL_JSON column; its cell is CELL_JSON */
	NEST_RECORD,  /* a COL_JSON column for the object and one for the array, each with the tree of its nested columns (record.h) */
};
#define RECORD_MAX_DEFAULT (4u << 20)

/* How a kind of destination names and limits things. Static data of the destination. */
struct dialect {
	const char *suffix[COL_TYPES];	/* "it", "de", "bo", "ti", "st", "va" (COL_JSON; of objects where an array has another) */
	const char *suffix_array;	/* "ar"; NULL: as COL_JSON's */
	const char *const *reserved;	/* suffixes that a sender's name may not have ("bi", "it", ...), NULL at the end */
	enum nesting nesting;
	bool files;			/* rows become files that are never changed: no table is described or made, keys replace nothing, and the ledger is the
					 * daemon's: what earlier loads hold comes with the job (job_batch.held, also with keys), and a load that is there already
					 * is ledger_row.uncounted. describe, change, subtables are not called */
	bool append;			/* rows with a key are added, too: none is replaced */
	bool rename_first;		/* the first type's column gets a suffix, too, when a second type comes */
	size_t column_max, table_max;	/* bytes of a name, room for __xx already taken off; 0: no limit */
	unsigned columns_max;		/* per table; 0: no limit */
	bool strip_special;		/* of ASCII only letters, digits, blank, _ and $ stay in names */
	bool case_matters;		/* "a" and "A" are two columns */
	bool nul_ok;			/* may a string hold U+0000? */
	unsigned int_digits, frac_digits; /* of a COL_NUMBER; 0: no limit */
	int64_t time_min, time_max;	/* us since 1970, of a COL_TIME; both 0: no limit */
	size_t record_max;		/* bytes of a record's JSON; 0: RECORD_MAX_DEFAULT */
	size_t row_max;			/* bytes of the values of one row; 0: no limit */
	/* The name in the destination, appended; NULL: the rule of strip_special. For kinds that fold case or replace characters. Pure. */
	void (*name)(struct str sent, struct buf *out);
};

struct column {
	char *name;
	char *other;   /* rename_first: the name with the suffix of its type if `name` is without, and the other way round; NULL: there is none */
	bool suffixed; /* `name` is the one with the suffix */
	enum col_type type;
	unsigned seen; /* 1 << enum seen_type of each type whose values come here; 0 in columns of ours */
	bool decimal;  /* of COL_NUMBER: the first that was no integer was beyond 64 bits; for kinds that must choose between decimals and doubles */
	bool key;      /* part of the primary key: never NULL */
	bool sdc;      /* one of ours */
	/* NEST_RECORD only: */
	struct column *sub;
	size_t n_sub;
	bool repeated;
};

/* What a frame's head says of a field's strings, where there are columns for texts and for times; 0: nothing. */
enum { TOLD_TEXT = 1, TOLD_TIME = 2 };

#define NO_COLUMN SIZE_MAX
#define NO_TABLE SIZE_MAX
/* A place in the sender's records: a field, a member of an object, an array's element. */
struct layout_field {
	char *name;			/* as sent; "" for an element */
	char *path;			/* for people: names from the top, joined by __ */
	const struct job_field *seen;	/* the types, in order; NULL: only what is in it is listed */
	struct layout_field *parent;	/* NULL: the record itself */
	struct layout_field **members;	/* of an object, in the job's order */
	size_t n_members, cap_members;
	size_t at, id;			/* index into the parent's members; number in the tree */
	struct map by_name;		/* members: name -> struct layout_field */
	struct layout_field *element;	/* of an array */
	bool has_members, has_elements; /* they are listed, if only to say that there are none; otherwise the whole value is JSON text */
	/* where values go */
	size_t table;			/* index into layouts: whose columns these are */
	size_t column[COL_TYPES];	/* index into its columns, or NO_COLUMN. An object or array goes by `object` and `array` */
	size_t object, array;		/* columns of the whole value (COL_JSON), or NO_COLUMN; JSON text goes to column[COL_STRING] */
	size_t subtable;		/* index into layouts: rows of the elements; NO_TABLE: none, no element has a value */
	bool flat_object, flat_array;	/* taken apart: members to columns, elements to rows */
	char *base;			/* canonical name among the columns of its table; "" for an element, NULL: not placed */
	bool key, placed;
	char *refused;			/* why a record with a value here is rejected; NULL: it is not */
	char *refused_array;		/* the same of arrays only */
};

/* Columns of one table: the sender's in the job's order, then ours. In a subtable: source keys, level ids, the sender's, then ours. */
struct layout {
	struct column *columns;
	size_t n, n_user;    /* n_user of them are the sender's */
	bool has_table;	     /* root only; else no record of the job can become a row: no column of the sender's, or a key without one */
	size_t *keys;	     /* columns of the key, in the order of the job's key names; in a subtable: of source keys and level ids */
	size_t n_keys;	     /* 0: append-only */
	/* ours; NO_COLUMN where it is not wanted; the last two are COL_INTEGER and never NULL */
	size_t extracted, row_id, received, batched, sequence, version;
	char *table;	     /* canonical name of the table */
	/* subtables only */
	size_t parent;	     /* index into layouts; NO_TABLE: this is the root */
	unsigned level;	     /* so many level ids */
	size_t n_source;     /* source keys: the first so many of `keys` */
	bool bare;	     /* not in the job's schema: no rows come, only source keys and version are known. Stale rows go from here, too */
};

/* All tables of a job; t[0] is the root. Each subtable comes after its parent; bare ones are last. */
struct layouts {
	struct layout *t;
	size_t n, cap;
	struct layout_field top; /* the record: its members are the job's fields */
	size_t n_fields;	 /* ids of fields are below this */
};

/* with_extracted: some record has time_extracted, so _sdc_extracted_at is there. -1: ERR_DATA, the table cannot be named here. */
int layouts_make(const struct job *j, const struct dialect *d, bool with_extracted, struct layouts *out, struct err *e) MUST_CHECK;
/* Leave out what has no value: used says of each table's columns which have one (no bare table is there yet); none: no row comes at all. */
void layouts_keep(struct layouts *los, bool **used, bool none);
/* A subtable that is in the destination and not in the job. */
void layouts_add_bare(struct layouts *los, const struct dialect *d, const char *table);
void layouts_free(struct layouts *los);
/* The name as the destination has it, appended. */
void dialect_name(const struct dialect *d, struct str name, struct buf *out);
char *dialect_named(const struct dialect *d, const char *name) MUST_CHECK; /* the same; the caller's */

#endif
