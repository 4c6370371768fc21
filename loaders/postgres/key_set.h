/*
 * key_set.h - a set of 64-bit hashes of keys that answers one question: may two rows of this load have the same key? Wrong only in the safe direction.
 * Zero-initialised is empty. One thread.
 */
#ifndef STITCH_PG_KEY_SET_H
#define STITCH_PG_KEY_SET_H

#include "base.h"

struct key_set {
	uint64_t *slots; /* 0: free */
	size_t n, cap;
	bool repeated; /* some key came twice, or more came than we remember */
};

uint64_t key_hash(uint64_t seed, const void *p, size_t n); /* seed: 0, or the hash of the key's columns before */
void key_set_add(struct key_set *k, uint64_t hash);
void key_set_free(struct key_set *k);

#endif
