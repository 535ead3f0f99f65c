/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/prefer_vgpu.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A device that is there to be chosen, or must be. */
struct choice {
	const char *id;
	const struct vgpu_device *is; /* NULL: of none that we know */
	bool must, taken;
	int64_t full; /* vGPUs that its card would have by then */
	bool near;    /* on a NUMA node that something chosen is on */
};

LIST_OF(choice_list, struct choice);

static int compare_numbers(int64_t x, int64_t y)
{
	return (x > y) - (x < y);
}

static int compare_ids(struct vgpu_id x, struct vgpu_id y)
{
	int order = compare_numbers((int64_t)x.card, (int64_t)y.card);

	return order ? order : compare_numbers(x.index, y.index);
}

/* Of one id that which must be there is first. */
static int by_place(const void *a, const void *b)
{
	const struct choice *x = a, *y = b;
	int order = !x->is - !y->is;

	if (!order && x->is) {
		order = compare_ids(x->is->id, y->is->id);
	}
	order = order ? order : strcmp(x->id, y->id);
	return order ? order : y->must - x->must;
}

static int compare_device(const void *key, const void *item)
{
	return compare_ids(*(const struct vgpu_id *)key, ((const struct vgpu_device *)item)->id);
}

static void add(const struct vgpu_device_list *all, const struct dpapi_ids *ids, bool must,
		struct choice_list *to)
{
	list_each(text, ids) {
		struct choice *c = &to->items[to->n++];
		struct vgpu_id id;

		*c = (struct choice){.id = *text, .must = must};
		if (all->n && vgpu_id_parse(*text, &id) == 0) {
			c->is = bsearch(&id, all->items, all->n, sizeof(*all->items),
					compare_device);
		}
		c->full = c->is ? c->is->made_on_card : 0;
	}
}

/* Every id once, by place. */
static void choices(const struct vgpu_device_list *all, const struct dpapi_wish *wish,
		    struct arena *a, struct choice_list *ret)
{
	size_t n = 0;

	ret->items = arena_array(a, struct choice, wish->must.n + wish->available.n);
	add(all, &wish->must, true, ret);
	add(all, &wish->available, false, ret);
	if (ret->n) {
		qsort(ret->items, ret->n, sizeof(*ret->items), by_place);
	}
	list_each(c, ret) {
		if (!n || !str_eq(ret->items[n - 1].id, c->id)) {
			ret->items[n++] = *c;
		}
	}
	ret->n = n;
}

static void take_it(struct choice_list *all, struct choice *it, struct dpapi_ids *to)
{
	it->taken = true;
	to->items[to->n++] = it->id;
	for (size_t i = 0; it->is && i < all->n; i++) {
		struct choice *c = &all->items[i];

		if (c->is) {
			c->full += c->is->unit == it->is->unit && !it->is->made;
			c->near |= c->is->unit->card->numa == it->is->unit->card->numa;
		}
	}
}

/* Of equal ones the first counts. */
static bool better(const struct choice *x, const struct choice *y)
{
	if (!x->is || !y->is) {
		return x->is && !y->is;
	}
	if (x->full != y->full) {
		return x->full > y->full;
	}
	if (x->near != y->near) {
		return x->near;
	}
	return x->is->made && !y->is->made;
}

static struct choice *best(const struct choice_list *all)
{
	struct choice *ret = NULL;

	list_each(c, all) {
		if (!c->taken && (!ret || better(c, ret))) {
			ret = c;
		}
	}
	return ret;
}

int prefer_vgpu(const struct vgpu_device_list *all, const struct dpapi_wish *wish, struct arena *a,
		struct dpapi_ids *ret, struct err *err)
{
	struct choice_list c = {0};
	struct dpapi_ids got;
	size_t must = 0;

	choices(all, wish, a, &c);
	list_each(one, &c) {
		must += one->must;
	}
	if (wish->size < 0 || must > (size_t)wish->size) {
		return err_set(err, "%zu devices must be among %" PRId64, must, wish->size);
	}
	if ((size_t)wish->size > c.n) {
		return err_set(err, "%" PRId64 " devices are wanted, and %zu are there", wish->size,
			       c.n);
	}
	got = (struct dpapi_ids){arena_array(a, const char *, (size_t)wish->size), 0};
	list_each(one, &c) {
		if (one->must) {
			take_it(&c, one, &got);
		}
	}
	while (got.n < (size_t)wish->size) {
		take_it(&c, best(&c), &got);
	}
	*ret = got;
	return 0;
}
