/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/links.h"

#include <stdlib.h>

void links_finish(struct links *l)
{
	free(l->items);
	*l = (struct links){0};
}

static struct links_pair *find(const struct links *l, uint64_t x, uint64_t y)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->items[i].x == MIN(x, y) && l->items[i].y == MAX(x, y)) {
			return &l->items[i];
		}
	}
	return NULL;
}

static void drop(struct links *l, struct links_pair *p)
{
	*p = l->items[--l->n];
}

static void set(struct links *l, uint64_t x, uint64_t y, int64_t lanes)
{
	struct links_pair *p = find(l, x, y);

	if (p && lanes) {
		p->lanes = lanes;
	} else if (p) {
		drop(l, p);
	} else if (lanes && l->n < LINKS_PAIRS_MAX) {
		if (l->n == l->room) {
			l->room = l->room ? 2 * l->room : 8;
			l->items = xrealloc(l->items, l->room * sizeof(*l->items));
		}
		l->items[l->n++] = (struct links_pair){MIN(x, y), MAX(x, y), lanes};
	}
}

/* A card in trouble says nothing of its links. */
void links_learn(struct links *l, const struct reading *r)
{
	for (size_t i = 0; i < r->cards.n; i++) {
		const struct reading_card *x = &r->cards.items[i];

		for (size_t k = 0; k < i && !*x->trouble; k++) {
			const struct reading_card *y = &r->cards.items[k];

			if (!*y->trouble) {
				set(l, x->at, y->at, reading_lanes(x, y));
			}
		}
	}
}

/* --- what the last report said --------------------------------------------------------------- */

static bool is_hex(const char *text, uint32_t number)
{
	uint32_t n;

	return text && pcifn_hex(text, 4, &n) == 0 && n == number;
}

/* The address of a unit that was reported and whose card is there still; or -1. */
static int same_card(const struct machine *m, const struct status_unit *u, uint64_t *ret)
{
	const struct pci_function *f =
		u->id && pcifn_parse(u->id, ret) == 0 ? machine_function(m, *ret) : NULL;

	return f && is_hex(u->vendor_id, f->ids.vendor) && is_hex(u->device_id, f->ids.device) ? 0
											       : -1;
}

static const struct status_unit *unit_of(const struct status *s, const char *id)
{
	list_each(u, &s->units) {
		if (str_eq(u->id, id)) {
			return u;
		}
	}
	return NULL;
}

void links_recall(struct links *l, const struct machine *m, const struct status *old)
{
	uint64_t x, y;

	list_each(u, &old->units) {
		list_each(link, &u->links) {
			const struct status_unit *far = unit_of(old, link->unit);

			if (str_eq(link->kind, "nvlink") && link->lanes > 0 && far && far != u &&
			    same_card(m, u, &x) == 0 && same_card(m, far, &y) == 0) {
				set(l, x, y, link->lanes);
			}
		}
	}
}

/* --- units ----------------------------------------------------------------------------------- */

static bool is_gpu_of(const struct unit *u, uint64_t at)
{
	list_each(f, &u->functions) {
		if ((*f)->kind == PCI_GPU && (*f)->address == at) {
			return true;
		}
	}
	return u->card->address == at;
}

bool links_any(const struct links *l, const struct unit *u)
{
	for (size_t i = 0; l && i < l->n; i++) {
		if (is_gpu_of(u, l->items[i].x) || is_gpu_of(u, l->items[i].y)) {
			return true;
		}
	}
	return false;
}

int64_t links_lanes(const struct links *l, const struct unit *x, const struct unit *y)
{
	int64_t lanes = 0;

	for (size_t i = 0; l && i < l->n; i++) {
		const struct links_pair *p = &l->items[i];

		if ((is_gpu_of(x, p->x) && is_gpu_of(y, p->y)) ||
		    (is_gpu_of(x, p->y) && is_gpu_of(y, p->x))) {
			lanes += p->lanes;
		}
	}
	return lanes;
}
