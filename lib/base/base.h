/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base.h: the few words that every file of this project uses.
 *
 * Ownership is said in types and names, not in comments at each call:
 *   auto_free char *s = xstrdup(...)   freed when the scope ends
 *   return take(s)                     given away: s is NULL afterwards
 *   ret_x                              an out parameter, written only on success
 *
 * Allocation cannot fail: the x functions end the program when memory is gone. Sizes can: what
 * input may grow has a maximum (buf.h, map.h, arena.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#define KiB ((size_t)1024)
#define MiB (1024 * KiB)

#define attr_printf(f, a) __attribute__((format(printf, f, a)))
#define attr_cleanup(fn) __attribute__((cleanup(fn)))
#define attr_unused __attribute__((unused))

/* take(p): the value of p, which becomes NULL: ownership moves to whoever receives it. */
#define take(p)                                                                                    \
	({                                                                                         \
		__typeof__(p) taken_ = (p);                                                        \
		(p) = NULL;                                                                        \
		taken_;                                                                            \
	})

void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
/* A new string from a format; never NULL. */
char *xprintf(const char *format, ...) attr_printf(1, 2);

void free_p(void *p);  /* for auto_free: frees *(void **)p */
void close_p(int *fd); /* for auto_close: closes *fd when it is >= 0 */
#define auto_free attr_cleanup(free_p)
#define auto_close attr_cleanup(close_p)

/* Both may be NULL; NULL equals NULL only. */
bool str_eq(const char *a, const char *b);
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
/* NULL and "" are both empty. */
static inline bool str_empty(const char *s)
{
	return !s || !*s;
}

/* FNV-1a over n bytes, continued from seed (HASH_SEED to start). For tables and fingerprints, not
 * for secrets. */
#define HASH_SEED UINT64_C(0xcbf29ce484222325)
uint64_t hash_bytes(uint64_t seed, const void *bytes, size_t n);
uint64_t hash_str(uint64_t seed, const char *s);

/* Decimal in, whole string or nothing. 0 on success, -1 when s is no number in [min, max]. */
int parse_int(const char *s, int64_t min, int64_t max, int64_t *ret);
