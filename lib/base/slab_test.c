/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slab.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/test.h"

#define MANY 5000

static char *blocks[MANY];

static void free_blocks(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		slab_free(blocks[i]);
	}
}

static void blocks_of_each_size_are_whole_and_aligned(void)
{
	slab_off = false;
	for (size_t n = 0; n < SLAB_LARGEST + 100; n++) {
		blocks[n] = slab_alloc(n);
		is_int((uintptr_t)blocks[n] % 16, 0);
		ok(slab_size(blocks[n]) >= n);
		memset(blocks[n], (int)(n % 251), n);
	}
	for (size_t n = 1; n < SLAB_LARGEST + 100; n++) {
		ok(blocks[n][0] == (char)(n % 251) && blocks[n][n - 1] == (char)(n % 251));
	}
	is_int(slab_size(blocks[17]), 32);
	is_int(slab_size(blocks[SLAB_LARGEST]), SLAB_LARGEST);
	free_blocks(SLAB_LARGEST + 100);
	slab_free(NULL);
	is_int(slab_held(), 0);
}

static void gap_is_filled_before_a_page_is_begun(void)
{
	size_t held;

	slab_off = false;
	for (size_t i = 0; i < MANY; i++) {
		blocks[i] = slab_alloc(300);
		memset(blocks[i], (int)i, 300);
	}
	held = slab_held();
	ok(held >= MANY * 304 && held < MANY * 304 * 102 / 100 + 16 * KiB);
	for (size_t i = 0; i < MANY; i += 3) {
		slab_free(blocks[i]);
	}
	for (size_t i = 0; i < MANY; i += 3) {
		blocks[i] = slab_alloc(304);
		memset(blocks[i], (int)i, 304);
	}
	is_int(slab_held(), held);
	for (size_t i = 0; i < MANY; i++) {
		ok(blocks[i][0] == (char)i && blocks[i][299] == (char)i);
	}
	free_blocks(MANY);
	is_int(slab_held(), 0);
}

static void empty_page_serves_another_size_also_after_a_trim(void)
{
	char *first;

	slab_off = false;
	first = slab_alloc(16);
	slab_free(first);
	slab_trim();
	blocks[0] = slab_alloc(1000);
	ok(labs(blocks[0] - first) < (long)MiB); /* no new range, one of the pages there were */
	memset(blocks[0], 1, 1000);
	is_int(slab_held(), 16 * KiB);
	slab_free(blocks[0]);
}

/* mincore's answer for a page of the kernel's that was given back: it is not there. */
static size_t resident(const char *from, const char *to)
{
	static unsigned char pages[MANY];
	size_t n = 0, size = (size_t)(to - from);

	ok(size / 4096 < MANY && mincore((void *)from, size, pages) == 0);
	for (size_t i = 0; i < size / 4096; i++) {
		n += pages[i] & 1;
	}
	return n;
}

static void trim_leaves_nothing_of_empty_pages(void)
{
	char *low = NULL, *high = NULL, *in_use;

	slab_off = false;
	slab_trim();
	in_use = slab_alloc(1000);
	for (size_t i = 0; i < MANY; i++) {
		blocks[i] = memset(slab_alloc(400), 1, 400);
		low = !low || blocks[i] < low ? blocks[i] : low;
		high = blocks[i] > high ? blocks[i] : high;
	}
	low -= (uintptr_t)low % (16 * KiB);
	ok(resident(low, high) > MANY / 11);
	free_blocks(MANY);
	slab_trim();
	ok(resident(low, high) <= 4);
	for (size_t i = 0; i < MANY; i++) { /* each page is had once more, and but once */
		blocks[i] = memset(slab_alloc(400), (int)i, 400);
		ok(labs(blocks[i] - low) < (long)(4 * MiB));
	}
	for (size_t i = 0; i < MANY; i++) {
		ok(blocks[i][0] == (char)i && blocks[i][399] == (char)i);
	}
	free_blocks(MANY);
	slab_free(in_use);
	is_int(slab_held(), 0);
}

static void malloc_serves_when_it_is_off(void)
{
	char *ours, *other;

	slab_off = false;
	ours = slab_alloc(100);
	slab_off = true;
	other = slab_alloc(100);
	is_int(slab_held(), 16 * KiB);
	ok(slab_size(other) >= 100);
	slab_free(other);
	slab_free(ours); /* each to where it came from */
	is_int(slab_held(), 0);
}

TESTS({"blocks of each size are whole and aligned", blocks_of_each_size_are_whole_and_aligned},
      {"a gap is filled before a page is begun", gap_is_filled_before_a_page_is_begun},
      {"an empty page serves another size, also after a trim",
       empty_page_serves_another_size_also_after_a_trim},
      {"a trim leaves nothing of empty pages", trim_leaves_nothing_of_empty_pages},
      {"malloc serves when it is off", malloc_serves_when_it_is_off})
