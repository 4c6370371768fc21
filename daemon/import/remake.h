/*
 * remake.h - one record once more as the door would take it: for a rejected record that a person has put right. Pure; any thread.
 */
#ifndef STITCH_IMPORT_REMAKE_H
#define STITCH_IMPORT_REMAKE_H

#include "buf.h"
#include "err.h"
#include "frame.h"

/* data: a JSON object. sequence and time_extracted as in its line (frame_record). What it is checked against (keys, schema) stands in the head. Appends to out the
 * new head line and the record's line, each with its newline. ERR_INVALID: what the door would say. */
int import_remake(const struct frame_head *head, const struct frame_record *was, struct str data, struct buf *out, struct err *e) MUST_CHECK;

#endif
