/*
 * confine.h - what a loader may not do, whatever its libraries do to it: a process that talks to a foreign server and parses its answers needs files and
 * connections, and nothing that would make it more than that. Called once, at the start, before other threads run.
 */
#ifndef STITCH_LOADER_CONFINE_H
#define STITCH_LOADER_CONFINE_H

#include "base.h"

/* Never fails: what this kernel cannot do is told in the log and done without. Not in sanitizer builds, whose run-time traces itself. */
void confine(void);

#endif
