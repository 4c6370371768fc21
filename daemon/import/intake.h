/*
 * intake.h - one request's body, decoded: groups of record lines per (table, key names, table version), ready to be framed. A struct intake
 * belongs to one http thread and is used again for each request; nothing is allocated per record. Slices point into the body (which must
 * stay until encode_batch) or into the batch's own arena.
 *
 * decode_batch and decode_push read a whole body (import-api.md); on -1 the refusal says why and the batch holds nothing of use.
 */
#ifndef STITCH_IMPORT_INTAKE_H
#define STITCH_IMPORT_INTAKE_H

#include "base.h"
#include "buf.h"
#include "daemon/import/jschema.h"
#include "daemon/import/paths.h"
#include "daemon/import/refusal.h"
#include "daemon/queue/queue.h"
#include "frame.h"
#include "transit.h"

#define IMPORT_RECORDS_MAX 20000u
#define IMPORT_POINTS_MAX 10000u /* data points (leaves) of one record */
#define IMPORT_FIELDS_MAX 10000u /* different top-level fields of one table in one request */
#define IMPORT_HEAD_MAX (512u << 10) /* of the head line: it is repeated in every part */
#define IMPORT_KEY_CHARS_MAX 1024u
#define IMPORT_KEYS_MAX 100u /* key names; no destination has indexes of so many columns */
#define IMPORT_DEPTH_MAX 200u
#define IMPORT_RECORD_MAX (20u << 20) /* of one record's line, which Transit can make larger than the body; readers take FRAME_LINE_MAX */
#define IMPORT_TRANSIT_MAX (64u << 20) /* of a Transit body once it is JSON text, and so many times its length, or */
#define IMPORT_TRANSIT_TIMES 32u
#define IMPORT_TRANSIT_LEAST (1u << 20)
#define IMPORT_STEPS_MAX 64000000u /* of a request's schema, over all of its records: a second or two */
struct field {
	struct str raw;	 /* the key as it was first sent, with quotes */
	struct str name; /* unescaped */
	uint32_t seen;	 /* intake.serial of the record that has it: finds duplicates */
	uint32_t at;	 /* where in intake.seen that is */
	uint32_t present, filled; /* records kept that have it; and not as null */
	uint32_t longest; /* bytes of its longest value */
	uint16_t mask;	 /* 1 << enum jtype: already in kinds */
	uint32_t path; /* of its objects and arrays, in group.paths; PATH_NONE */
	struct jfield rule; /* of the schema, once ruled; until then it accepts nothing */
	bool ruled;
	uint8_t kinds[8], n_kinds;
};
struct part { /* a run of lines that goes into one queue record */
	size_t end; /* in group.text */
	uint32_t records, lines;
};

#define GROUP_NONE UINT32_MAX
struct group {
	struct str table;	 /* unescaped */
	struct str key_names;	 /* canonical JSON array */
	struct str *keys;	 /* the same, unescaped */
	size_t n_keys;
	struct str schema;	 /* minified, or null */
	struct jschema *rules;	 /* NULL: none, or all is allowed */
	const char *schema_error;
	bool plain;		 /* fields may be judged one by one */
	size_t n_required;
	int64_t table_version;
	struct str raw_table, raw_keys; /* as the last message sent them: the usual case is found without unescaping */
	uint32_t first, next;	 /* groups of the same table: the first, the next one */
	uint32_t table_parts, next_part; /* counted in the table's first group */
	struct field *fields;
	size_t n_fields, cap_fields;
	uint32_t *index; /* hash of name -> field + 1 */
	size_t cap_index;
	struct paths paths; /* what lies in its fields' objects and arrays */
	struct buf text; /* record lines */
	struct part *parts;
	size_t n_parts, cap_parts;
	uint32_t records, lines;
};

struct seen { /* one field of the record being read */
	uint32_t field;
	uint8_t type;
	bool dropped;	   /* a later duplicate counts */
	uint32_t at, len; /* of "key":value in intake.data */
	uint32_t value;	   /* where the value begins */
};
#define SHAPES 16u
#define SHAPE_MAX 8192u
struct shape { /* a part of a head, and its hash: a sender's requests are mostly of one shape, and comparing is cheaper than hashing */
	struct buf text;
	uint64_t hash;
};

struct arena_chunk;
struct intake {
	struct group *groups;
	size_t n_groups, cap_groups;
	uint32_t *index; /* hash of table -> first group + 1 */
	size_t cap_index;
	uint32_t last;	/* group of the last push message */
	struct buf data; /* the record being read, minified */
	struct seen *seen;
	size_t n_seen, cap_seen;
	uint32_t serial;
	uint64_t steps; /* of schemas, left for this request */
	bool duplicates, partial; /* the record being read has dropped fields; bad records of a batch are put aside, the caller says */
	struct buf head, frame, key, violations, rejects; /* rejects: objects of number and reason, with commas between */
	unsigned n_violations, n_rejects, n_paths;
	struct arena_chunk *arena;
	struct shape shapes[SHAPES];
	struct schema_cache *schemas;
	struct frame_ctx *zstd;
	struct transit *transit;     /* a Transit body as JSON */
	const struct transit *types; /* what it says about the values of the body under way, or NULL; */
	size_t mark;		     /* the next mark of it to be met */
};

uint64_t name_hash(struct str s); /* that no sender can foresee */
struct intake *intake_new(void) MUST_CHECK; /* the first one before other threads run */
void intake_free(struct intake *b);
void intake_reset(struct intake *b); /* empty; gives back what an unusually large request took */
void *intake_alloc(struct intake *b, size_t n) MUST_CHECK; /* until intake_reset */
struct str intake_unescape(struct intake *b, struct str token) MUST_CHECK;
struct group *intake_add_group(struct intake *b); /* earlier pointers to groups are void */
struct group *intake_find_table(struct intake *b, struct str table); /* its first group, or NULL */
void intake_index_table(struct intake *b, uint32_t group);
/* From a raw array of strings: canonical text and keys, each name once. -1: not an array of strings, or too many. */
int group_set_keys(struct intake *b, struct group *g, struct str raw) MUST_CHECK;
/* After JSCAN_OBJECT of a record's data: reads to its end into intake.data and intake.seen. -1: malformed. Too much of something: refused in *r. */
int record_read(struct intake *b, struct group *g, struct jscan *s, struct refusal *r) MUST_CHECK;
/* The record that was read becomes a line of the group: types are merged. time_extracted may be STR_NULL. */
void record_keep(struct intake *b, struct group *g, struct str sequence, struct str time_extracted);
void group_add_activate(struct group *g, struct str sequence);
/* The type of the field `name` in the record that was read; J_ABSENT. *value = its bytes. */
enum jtype record_field(struct intake *b, struct group *g, struct str name, struct str *value);
const struct field *group_field(const struct group *g, struct str name); /* NULL: no record has it */
size_t count_chars(struct str token); /* characters of a string token, escapes resolved */

int decode_batch(struct intake *b, struct str body, struct refusal *r) MUST_CHECK;
int decode_push(struct intake *b, struct str body, int64_t client_id, struct refusal *r) MUST_CHECK;
/* In two steps: the body into the JSON text b->transit->out, which slices will point into (transit_reset when all is encoded); the push. */
int decode_transit(struct intake *b, struct str body, struct refusal *r) MUST_CHECK;
int decode_push_transit(struct intake *b, int64_t client_id, struct refusal *r) MUST_CHECK;

struct encode_request {
	uint32_t source_id;
	int64_t received_at;
	struct str request_id;
	bool keyed;
};
/* All queue records of the request, appended to put->bytes; put->n is set. -1: a head is too long, refused. */
int encode_batch(struct intake *b, const struct encode_request *q, struct queue_put *put, struct refusal *r) MUST_CHECK;

#endif
