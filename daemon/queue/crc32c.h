/*
 * crc32c.h - CRC-32C (Castagnoli), by the processor's instruction where it has one. Any thread. To go on over several pieces pass
 * the last result; 0 at the start.
 */
#ifndef STITCH_QUEUE_CRC32C_H
#define STITCH_QUEUE_CRC32C_H

#include "base.h"

uint32_t crc32c(uint32_t crc, const void *p, size_t n);
/* The table's result, whatever the processor can do: for the test that compares both. */
uint32_t crc32c_table(uint32_t crc, const void *p, size_t n);

#endif
