/*
 * plan.h - from what is in the destination and what a job's rows need to the steps that bring the one to the other. Pure; the steps point into the layout.
 */
#ifndef STITCH_LOADER_PLAN_H
#define STITCH_LOADER_PLAN_H

#include "loaders/runtime/loader.h"

struct plan { struct step *steps; size_t n; };

/*
 * A column of the layout that is there with a type that cannot hold its values takes the name NAME__xx instead (the layout is changed); an integer column that
 * must hold numbers is widened. -1: ERR_CONFIG (the table has another key, belongs to another source, was not made by us) or too many columns.
 */
int plan_make(const struct job *j, const struct dialect *d, struct layout *lo, const struct table_desc *desc, struct plan *out, struct err *e) MUST_CHECK;
void plan_free(struct plan *p);

#endif
