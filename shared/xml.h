/*
 * xml.h - reading small XML answers (of S3) piece by piece: tags and texts, no attributes, no DTD. Pure; the reader points into the caller's bytes. One thread.
 */
#ifndef STITCH_XML_H
#define STITCH_XML_H

#include "base.h"
#include "buf.h"
#include "str.h"

#define XML_MAX (8u << 20) /* a longer document is bad at once */
#define XML_DEPTH 16

enum xml_kind { XML_OPEN /* <name>, also the first half of <name/> */, XML_CLOSE, XML_TEXT, XML_END, XML_BAD /* not well-formed, too deep or too long */ };

struct xml {
	/* of the piece that xml_next() found */
	struct str name; /* OPEN, CLOSE: without a prefix "ns:" */
	struct buf text; /* TEXT: decoded; the caller frees it by xml_free() */
	/* private */
	struct str left, open[XML_DEPTH];
	unsigned depth;
	bool closing, bad, root;
};

void xml_init(struct xml *x, struct str doc); /* doc is borrowed */
enum xml_kind xml_next(struct xml *x);
void xml_free(struct xml *x);
/* Text of the element at path ("Error/Code") if there is one and the document is well-formed up to there: appended to out. */
bool xml_find(struct str doc, const char *path, struct buf *out);
/* Append s as text of an element: < > & and control characters escaped. */
void xml_escape(struct buf *out, struct str s);

#endif
