/*
 * jtype.h - the kinds of JSON values as the door tells them apart: error texts and heads name them. Pure; any thread.
 */
#ifndef STITCH_IMPORT_JTYPE_H
#define STITCH_IMPORT_JTYPE_H

#include "jscan.h"

enum jtype { J_ABSENT, J_OBJECT, J_ARRAY, J_STRING, J_INTEGER, J_BIGNUM, J_NUMBER, J_BOOLEAN, J_NULL, J_TIMESTAMP /* text that Transit says is a time */ };
const char *jtype_name(enum jtype t);	   /* "JSONObject": as the documented errors say */
const char *jtype_head_name(enum jtype t); /* "object": as the head's types say */
enum jtype jtype_of(enum jscan_token t, const struct jscan *s);

#endif
