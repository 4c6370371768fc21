/*
 * bq_upload.h - gzipped lines into a staging table of their own, which one load job replaces whole. An upload is its maker's (upload_free); nothing is sent before
 * there is a chunk full of it, or the end. One thread.
 */
#ifndef STITCH_LOADER_BQ_UPLOAD_H
#define STITCH_LOADER_BQ_UPLOAD_H

#include "loaders/bigquery/bq.h"

struct upload *upload_new(struct bq *b, const char *batch, const char *table, json_t *fields, struct err *e) MUST_CHECK; /* fields: taken, also on error */
int upload_line(struct upload *u, struct str line, struct err *e) MUST_CHECK; /* with its newline */
/* Ends the upload and waits for the load job. Of ERR_DATA: *position is where the line begins that is refused, or *row its number, from 1; UINT64_MAX: not known. */
int upload_finish(struct upload *u, uint64_t *position, uint64_t *row, struct err *e) MUST_CHECK;
uint64_t upload_position(const struct upload *u); /* bytes of lines so far */
const char *upload_table(const struct upload *u);
void upload_free(struct upload *u); /* drops the staging table */

#endif
