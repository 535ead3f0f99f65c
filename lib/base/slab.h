/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slab.h: many small blocks of few sizes.
 *
 * A cache holds thousands of objects for days, and between them each pass makes and frees some
 * hundred values. In malloc's heap the gaps that they leave between each other are too small for
 * what comes next: a tenth of the memory. Here blocks of one size share a page, so that a gap fits
 * the next block of its size exactly, a page whose blocks are all free serves another size, and no
 * block carries a header.
 *
 * Not thread-safe. With AddressSanitizer every block is malloc's, so that it sees a use after the
 * end; slab_test.c turns that off.
 */
#pragma once

#include "base/base.h"

#define SLAB_LARGEST ((size_t)1024) /* larger blocks, and those beyond 1 GiB in all, are malloc's */

/* At least size bytes, aligned for any type, contents undefined; never NULL. */
void *slab_alloc(size_t size);
/* What slab_alloc returned, or NULL. */
void slab_free(void *block);
/* Bytes that the block takes from the memory, at least those asked for. */
size_t slab_size(const void *block);

/* Gives the memory of free pages back, as malloc_trim does: after a busy time. */
void slab_trim(void);

/* Bytes of pages that hold blocks; for tests. */
size_t slab_held(void);
extern bool slab_off; /* all blocks are malloc's; may change at any time */
