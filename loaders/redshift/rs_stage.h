/*
 * rs_stage.h - rows of one table on their way to S3: JSON lines, packed by gzip into a file without a name, put into the bucket when it is large enough and at the
 * end. One thread.
 */
#ifndef STITCH_RS_STAGE_H
#define STITCH_RS_STAGE_H

#include "base.h"
#include "err.h"
#include "loaders/runtime/loader.h"
#include "s3.h"
#include "str.h"

#define RS_STAGE_BYTES (64u << 20) /* packed, of one file */

struct rs_stage_file;
struct rs_stage {
	struct s3 *s3;
	char *stem;		  /* of the keys of its objects */
	struct rs_stage_file *f;  /* NULL: nothing is open */
	struct names keys;	  /* its objects that are in the bucket */
	uint64_t lines, bytes;	  /* all of them */
};

void rs_stage_init(struct rs_stage *s, struct s3 *s3, const char *stem);
int rs_stage_line(struct rs_stage *s, struct str line, struct err *e) MUST_CHECK; /* with its newline */
int rs_stage_end(struct rs_stage *s, struct err *e) MUST_CHECK; /* all lines are in the bucket */
void rs_stage_free(struct rs_stage *s); /* objects stay */


#endif
