/* SPDX-License-Identifier: Apache-2.0 */
/* Names that meet, and the lists. */
#include "node-daemon/offers_inner.h"

#include <stdlib.h>
#include <string.h>

#include "api/resource.h"

_Static_assert(PLUGIN_RESOURCES_MAX == 256, "as WHY_TOO_MANY says");

/* --- sentences ----------------------------------------------------------------------------- */

enum why {
	WHY_SAME_VARIABLE,
	WHY_NOT_ALONE,
	WHY_ANOTHERS,
	WHY_TOO_MANY,
};

/* "WHAT says; remedy" */
static const struct {
	const char *says, *remedy;
} whys[] = {
	[WHY_SAME_VARIABLE] = {", and virt-launcher could not tell them apart",
			       "give one of them another name in its order"},
	[WHY_NOT_ALONE] = {" to name it alone, and other units have that name",
			   "give it another one in its order"},
	[WHY_ANOTHERS] = {" alone", "give one of them another name in its order"},
	[WHY_TOO_MANY] = {" is one too many: a node can have 256",
			  "let more units share a resource"},
};

/* --- names that meet ----------------------------------------------------------------------- */

static int compare_numbers(uint64_t x, uint64_t y)
{
	return (x > y) - (x < y);
}

static int by_resource(const void *a, const void *b)
{
	const struct offer *x = *(const struct offer *const *)a,
			   *y = *(const struct offer *const *)b;
	int order = strcmp(x->resource, y->resource);

	return order ? order : compare_numbers(x->unit, y->unit);
}

static int by_variable(const void *a, const void *b)
{
	const struct offer *x = *(const struct offer *const *)a,
			   *y = *(const struct offer *const *)b;
	int order = strcmp(x->variable, y->variable);

	return order ? order : by_resource(a, b);
}

typedef bool offers_test(const struct offer *x, const struct offer *y);

static bool same_variable(const struct offer *x, const struct offer *y)
{
	return str_eq(x->variable, y->variable);
}

static bool same_resource(const struct offer *x, const struct offer *y)
{
	return str_eq(x->resource, y->resource);
}

/* How many from o on are alike. */
static size_t run(struct offer *const *o, struct offer *const *end, offers_test *alike)
{
	size_t n = 1;

	while (o + n < end && alike(*o, o[n])) {
		n++;
	}
	return n;
}

static const struct offer *first_given(struct offer *const *o, size_t n, bool alone)
{
	for (size_t i = 0; i < n; i++) {
		if (o[i]->given && (o[i]->alone || !alone)) {
			return o[i];
		}
	}
	return NULL;
}

static void refuse(struct arena *a, struct offer *o, enum why why, const char *what)
{
	if (!o->given) {
		o->offered = o->healthy = false;
		o->why = o->barred =
			arena_printf(a, "%s%s; %s", what, whys[why].says, whys[why].remedy);
	}
}

/* Of the resources that share a variable one is left: what was given keeps its name, else the first
 * in the order of names has it. */
static void part_variables(struct arena *a, struct offer **o, size_t n)
{
	const struct offer *stays = first_given(o, n, false);

	stays = stays ? stays : o[0];
	for (size_t i = 0; i < n; i++) {
		if (!same_resource(o[i], stays)) {
			refuse(a, o[i], WHY_SAME_VARIABLE,
			       arena_printf(a, "its resource %s has the same variable (%s) as %s",
					    o[i]->resource, o[i]->variable, stays->resource));
		}
	}
}

/* A name of one unit is not that of others: who was given it alone keeps it, else it is that of all
 * who do not want it alone, else the first has it. */
static void part_alone(struct arena *a, struct offer **o, size_t n)
{
	const struct offer *stays = first_given(o, n, true);
	bool some = false;

	for (size_t i = 0; i < n; i++) {
		some |= !o[i]->alone;
	}
	stays = stays || some ? stays : o[0];
	for (size_t i = 0; i < n; i++) {
		const char *name = o[i]->resource;

		if (o[i]->alone && o[i] != stays) {
			refuse(a, o[i], WHY_NOT_ALONE, arena_printf(a, "%s is", name));
		} else if (stays && o[i] != stays) {
			refuse(a, o[i], WHY_ANOTHERS,
			       arena_printf(a, "its resource %s names %s", name, stays->id));
		}
	}
}

static bool any_given(struct offer *const *o, size_t n)
{
	return first_given(o, n, false) != NULL;
}

/* plugin.h takes so many; what was given goes first. */
static void limit(struct arena *a, struct offer **o, size_t n)
{
	size_t room = PLUGIN_RESOURCES_MAX, len;

	for (size_t i = 0; i < n; i += len) {
		len = run(&o[i], o + n, same_resource);
		room -= room && any_given(&o[i], len);
	}
	for (size_t i = 0; i < n; i += len) {
		len = run(&o[i], o + n, same_resource);
		for (size_t j = 0; !room && j < len && !any_given(&o[i], len); j++) {
			refuse(a, o[i + j], WHY_TOO_MANY,
			       arena_printf(a, "its resource %s", o[i]->resource));
		}
		room -= room && !any_given(&o[i], len);
	}
}

/* Leaves out what is refused by now. */
static size_t still_offered(struct offer **o, size_t n)
{
	size_t left = 0;

	for (size_t i = 0; i < n; i++) {
		if (o[i]->offered) {
			o[left++] = o[i];
		}
	}
	return left;
}

static size_t part(struct arena *a, struct offer **o, size_t n)
{
	size_t len;

	qsort(o, n, sizeof(*o), by_variable);
	for (size_t i = 0; i < n; i += len) {
		len = run(&o[i], o + n, same_variable);
		part_variables(a, &o[i], len);
	}
	n = still_offered(o, n);
	for (size_t i = 0; i < n; i += len) {
		len = run(&o[i], o + n, same_resource);
		part_alone(a, &o[i], len);
	}
	n = still_offered(o, n);
	qsort(o, n, sizeof(*o), by_resource);
	limit(a, o, n);
	return still_offered(o, n);
}

/* --- lists -------------------------------------------------------------------------------- */

static void add_device(struct plugin_offer *to, const struct offer *o)
{
	to->devices.items[to->devices.n++] = (struct dpapi_device){
		.id = o->id,
		.healthy = o->healthy,
		.numa = o->is ? o->is->card->numa : -1,
	};
}

void offers_list(struct offers *ret, struct arena *a)
{
	struct offer **o = arena_array(a, struct offer *, ret->items.n);
	size_t n = 0, len;

	list_each(item, &ret->items) {
		if (item->offered) {
			item->variable = resource_pci_variable(item->resource, a);
			o[n++] = item;
		}
	}
	n = n ? part(a, o, n) : 0;
	ret->lists.items = arena_array(a, struct plugin_offer, n);
	for (size_t i = 0; i < n; i += len) {
		struct plugin_offer *list = &ret->lists.items[ret->lists.n++];

		len = run(&o[i], o + n, same_resource);
		list->resource = o[i]->resource;
		list->devices.items = arena_array(a, struct dpapi_device, len);
		for (size_t j = 0; j < len; j++) {
			add_device(list, o[i + j]);
		}
	}
}
