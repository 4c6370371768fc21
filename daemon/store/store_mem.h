/*
 * store_mem.h - the reference store in memory, with injected faults, for contract tests and t/sim.
 */
#ifndef STITCH_STORE_MEM_H
#define STITCH_STORE_MEM_H

#include "daemon/store/store.h"

enum {
	STORE_MEM_FAIL_NEXT = 1,   /* the next put answers ERR_IO and has left nothing */
	STORE_MEM_LOSE_ANSWER = 2, /* the next put is done and answers ERR_IO */
	STORE_MEM_TEAR_NEXT = 4,   /* the next put answers ERR_IO; half of it is there until a crash */
	STORE_MEM_FAIL_ALL = 8,	   /* every put and delete answers ERR_IO until the flags are set anew */
};
void store_mem_fault(struct store *s, unsigned flags); /* replaces what was set */
/* As a power cut: what was torn is gone; what was put stays. */
void store_mem_crash(struct store *s);
size_t store_mem_count(struct store *s);

#endif
