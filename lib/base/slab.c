/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages lie in one range of addresses, reserved once and made usable as they are needed: whether a
 * block is malloc's is a comparison, and its page is found by rounding down. A page begins with its
 * head. Each size has a list of its pages that have room. Of a page whose memory was given back not
 * even the head is left: a bit remembers it.
 */
#include "base/slab.h"

#include <malloc.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/link.h"

#define PAGE (16 * KiB)
#define RANGE (1024 * MiB)
#define OPENED (16 * PAGE) /* made usable at a time */
#define PAGES (RANGE / PAGE)
#define STEP ((size_t)16) /* sizes are multiples of it: malloc's alignment */
#define SIZES (SLAB_LARGEST / STEP)

struct block {
	struct block *next;
};

struct page {
	struct link link; /* of its size's pages with room, or of the empty ones */
	struct block *free;
	uint32_t size;	    /* of its blocks */
	uint16_t live, cut; /* blocks given out, and those that ever were */
};
_Static_assert(sizeof(struct page) % 16 == 0, "blocks are aligned for any type");

#if defined(__SANITIZE_ADDRESS__) /* gcc */
bool slab_off = true;
#elif defined(__has_feature)
bool slab_off = __has_feature(address_sanitizer); /* clang */
#else
bool slab_off = false;
#endif

static struct {
	char *range, *opened, *next; /* its begin, where it is not yet usable, the next new page */
	struct link roomy[SIZES], empty;
	uint64_t trimmed[PAGES / 64]; /* a bit a page */
	size_t n_trimmed, held;
} slab;

/* false: there is no memory of this kind. */
static bool begin(void)
{
	void *range = mmap(NULL, RANGE + OPENED, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (range == MAP_FAILED) {
		slab_off = true;
		return false;
	}
	slab.range = (char *)(((uintptr_t)range + OPENED - 1) & ~(uintptr_t)(OPENED - 1));
	slab.next = slab.opened = slab.range;
	link_init(&slab.empty);
	for (size_t i = 0; i < SIZES; i++) {
		link_init(&slab.roomy[i]);
	}
	return true;
}

static struct page *new_page(void)
{
	struct page *p = (struct page *)slab.next;

	if (slab.next == slab.opened) {
		if (slab.opened == slab.range + RANGE ||
		    mprotect(slab.opened, OPENED, PROT_READ | PROT_WRITE) < 0) {
			return NULL;
		}
		slab.opened += OPENED;
	}
	slab.next += PAGE;
	return p;
}

static struct page *trimmed_page(void)
{
	size_t word = 0;

	while (!slab.trimmed[word]) {
		word++;
	}
	slab.n_trimmed--;
	word = word * 64 + (size_t)__builtin_ctzll(slab.trimmed[word]);
	slab.trimmed[word / 64] &= ~(UINT64_C(1) << word % 64);
	return (struct page *)(slab.range + word * PAGE);
}

static struct page *page_for(size_t size)
{
	struct link *roomy = &slab.roomy[size / STEP - 1];
	struct page *p;

	if (!link_empty(roomy)) {
		return container_of(roomy->next, struct page, link);
	}
	if (!link_empty(&slab.empty)) {
		p = container_of(slab.empty.next, struct page, link);
		link_remove(&p->link);
	} else if (!(p = slab.n_trimmed ? trimmed_page() : new_page())) {
		return NULL;
	}
	*p = (struct page){.size = (uint32_t)size};
	link_append(roomy, &p->link);
	slab.held += PAGE;
	return p;
}

static bool is_full(const struct page *p)
{
	return !p->free && sizeof(*p) + (p->cut + 1) * (size_t)p->size > PAGE;
}

static void *block_of(struct page *p)
{
	struct block *b = p->free;

	if (b) {
		p->free = b->next;
	} else {
		b = (struct block *)((char *)(p + 1) + p->cut++ * (size_t)p->size);
	}
	p->live++;
	if (is_full(p)) {
		link_remove(&p->link);
	}
	return b;
}

void *slab_alloc(size_t size)
{
	struct page *p = NULL;

	if (size <= SLAB_LARGEST && !slab_off && (slab.range || begin())) {
		p = page_for(size ? (size + STEP - 1) / STEP * STEP : STEP);
	}
	return p ? block_of(p) : xmalloc(size);
}

static struct page *page_of(const void *block)
{
	uintptr_t at = (uintptr_t)block - (uintptr_t)slab.range; /* below the range: very large */

	return slab.range && at < RANGE ? (struct page *)((uintptr_t)block & ~(uintptr_t)(PAGE - 1))
					: NULL;
}

void slab_free(void *block)
{
	struct page *p = page_of(block);
	struct block *b = block;

	if (!p) {
		free(block);
		return;
	}
	if (is_full(p)) {
		link_append(&slab.roomy[p->size / STEP - 1], &p->link);
	}
	b->next = p->free;
	p->free = b;
	if (--p->live == 0) {
		link_remove(&p->link);
		link_append(&slab.empty, &p->link);
		slab.held -= PAGE;
	}
}

size_t slab_size(const void *block)
{
	const struct page *p = page_of(block);

	return p ? p->size : malloc_usable_size((void *)block);
}

void slab_trim(void)
{
	while (slab.range && !link_empty(&slab.empty)) {
		struct page *p = container_of(slab.empty.next, struct page, link);
		size_t n = (size_t)((char *)p - slab.range) / PAGE;

		link_remove(&p->link);
		madvise(p, PAGE, MADV_DONTNEED);
		slab.trimmed[n / 64] |= UINT64_C(1) << n % 64;
		slab.n_trimmed++;
	}
}

size_t slab_held(void)
{
	return slab.held;
}
