/*
 * fields.h - the tree that the paths of a job's fields make: U+0001 NAME is a member of an object, U+0002 an element of an array (stitch-loader(7)).
 * Pure; the tree borrows from the job. Freed by layouts_free.
 */
#ifndef STITCH_LOADER_FIELDS_H
#define STITCH_LOADER_FIELDS_H

#include "loaders/runtime/layout.h"

#define PATH_MEMBER '\1'
#define PATH_ELEMENT '\2'
#define PATH_DEPTH_MAX 64 /* components; the door lists 16 */

/* Fills los->top and n_fields. order: the field of each of the job's (malloc'ed, the caller's); where a path says only that something is empty, that, or the element
 * that never came. */
int fields_make(const struct job *j, struct layouts *los, struct layout_field ***order, struct err *e) MUST_CHECK;
void fields_free(struct layouts *los);

#endif
