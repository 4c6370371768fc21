/*
 * crc32c.c - CRC-32C in two ways: eight bytes an instruction on x86-64 with SSE4.2, else four table look-ups at a time (slicing).
 * The choice is made once; both must give the same number, or a log written on one machine could not be read on another.
 */
#include "daemon/queue/crc32c.h"

#include <pthread.h>
#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

#define POLYNOMIAL 0x82f63b78u /* reflected */

static uint32_t table[4][256];
static bool have_instruction;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void prepare(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int k = 0; k < 8; k++)
			c = c & 1 ? c >> 1 ^ POLYNOMIAL : c >> 1;
		table[0][i] = c;
	}
	for (uint32_t i = 0; i < 256; i++)
		for (int t = 1; t < 4; t++)
			table[t][i] = table[t - 1][i] >> 8 ^ table[0][table[t - 1][i] & 0xff];
#if defined(__x86_64__)
	have_instruction = __builtin_cpu_supports("sse4.2");
#endif
}

uint32_t crc32c_table(uint32_t crc, const void *p, size_t n)
{
	const unsigned char *c = p;

	pthread_once(&once, prepare);
	crc = ~crc;
	for (; n >= 4; n -= 4, c += 4) {
		crc ^= (uint32_t)c[0] | (uint32_t)c[1] << 8 | (uint32_t)c[2] << 16 | (uint32_t)c[3] << 24;
		crc = table[3][crc & 0xff] ^ table[2][crc >> 8 & 0xff] ^ table[1][crc >> 16 & 0xff] ^ table[0][crc >> 24];
	}
	for (; n; n--, c++)
		crc = crc >> 8 ^ table[0][(crc ^ *c) & 0xff];
	return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const unsigned char *c, size_t n)
{
	uint64_t v = ~crc;

	for (; n >= 8; n -= 8, c += 8) {
		uint64_t w;

		memcpy(&w, c, sizeof(w));
		v = _mm_crc32_u64(v, w);
	}
	for (; n; n--, c++)
		v = _mm_crc32_u8((uint32_t)v, *c);
	return ~(uint32_t)v;
}
#endif

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
	pthread_once(&once, prepare);
#if defined(__x86_64__)
	if (have_instruction)
		return by_instruction(crc, p, n);
#endif
	return crc32c_table(crc, p, n);
}
