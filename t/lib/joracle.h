/*
 * joracle.h - jscan and jwrite against other JSON parsers (jansson, and yajl where it is there) and against themselves.
 */
#ifndef STITCH_JORACLE_H
#define STITCH_JORACLE_H

#include "str.h"

/* NULL when all agree about the document, else what they disagree on. valid = jscan's verdict. The bytes should have their exact size in
 * memory, so that a read past their end is seen by a sanitizer. */
const char *joracle_disagree(struct str doc, bool *valid);

#endif
