/*
 * paths.h - the types of what lies in the objects and arrays of a group's records. A path is written as a field's name, then U+0001 NAME for each member and
 * U+0002 for each element of an array; that is how heads, state.db and loaders' jobs name it (stitch-loader(7)). A struct paths belongs to one group
 * (intake.h) and one http thread; slices are of the body.
 */
#ifndef STITCH_IMPORT_PATHS_H
#define STITCH_IMPORT_PATHS_H

#include "buf.h"
#include "daemon/import/jtype.h"
#include "jwrite.h"

#define PATH_MEMBER '\1'
#define PATH_ELEMENT '\2'
#define PATHS_DEPTH_MAX 16u /* components of a path; what is deeper is not listed */
#define PATHS_LISTED_MAX 4000u /* of a head */
#define PATHS_NODES_MAX 8000u /* of a group, with those that were only null or in refused records */
#define PATHS_REQUEST_MAX 200000u /* nodes of all groups */
#define PATH_NONE UINT32_MAX

struct path { /* a field that has objects or arrays; a member; what an array's elements have in common */
	struct str raw;	 /* of a member: the key as it was first sent, with quotes */
	struct str name; /* and unescaped */
	uint32_t parent, element;
	uint32_t first, last, next; /* members in the order in which they appeared; the next one of the same object */
	uint16_t mask;		    /* 1 << enum jtype: already in kinds */
	uint8_t depth, kinds[8], n_kinds;
};

struct paths {
	struct path *path;
	size_t n, cap;
	uint32_t *index; /* hash of parent and name -> member + 1 */
	size_t cap_index;
	uint32_t *fresh; /* paths that got a kind by the record being read, in that order */
	size_t n_fresh, cap_fresh;
};

struct intake;
struct jscan;
void paths_free(struct paths *p);
void paths_reset(struct paths *p); /* empty; gives back what was unusually large */
/* After JSCAN_OBJECT or JSCAN_ARRAY: reads to its end, minified into intake.data (which has room), and notes what lies in it. *root is the field's path,
 * PATH_NONE at first. -1: malformed. */
int paths_read(struct intake *b, struct paths *p, struct jscan *s, uint32_t *root) MUST_CHECK;
void paths_undo(struct paths *p); /* the record that was read last is not kept */
/* All below a path, whose name is in *name (longer meanwhile) and whose kinds in mask, while there is room: *listed counts, w->out->len stays below end. */
void paths_write(const struct paths *p, uint32_t at, unsigned mask, struct jwrite *w, struct buf *name, unsigned *listed, size_t end);

/* What Transit says of the value that begins there, if it does. Values are met in the order of the text, and so are the marks. */
enum jtype paths_told(struct intake *b, const char *value, enum jtype type);
bool path_is_name(struct str name); /* has none of the two bytes in it */

static inline void buf_put_token(struct buf *out, struct str token) /* the caller has made room */
{
	memcpy(out->data + out->len, token.ptr, token.len);
	out->len += token.len;
}

#endif
