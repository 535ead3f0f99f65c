/* SPDX-License-Identifier: Apache-2.0 */
/* What KubeVirt expects: kubevirt.md 2. */
#include "node-daemon/grant.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api/resource.h"

#define FILES_MORE 2 /* beside those of functions: /dev/vfio/vfio, /dev/iommu */

struct granter {
	const struct grant_asked *asked;
	struct arena *arena;
	struct dpapi_grant *ret;
	LIST(const struct unit *) units; /* by address, none twice */
	struct err *err;
};

static int by_address(const void *a, const void *b)
{
	uint64_t x = (*(const struct unit *const *)a)->card->address,
		 y = (*(const struct unit *const *)b)->card->address;

	return (x > y) - (x < y);
}

static void sort_units(struct granter *g)
{
	const struct grant_asked *asked = g->asked;
	const struct unit **sorted = arena_array(g->arena, const struct unit *, asked->n);
	size_t n = 0;

	memcpy(sorted, asked->units, asked->n * sizeof(*sorted));
	qsort(sorted, asked->n, sizeof(*sorted), by_address);
	for (size_t i = 0; i < asked->n; i++) {
		if (!n || sorted[n - 1] != sorted[i]) {
			sorted[n++] = sorted[i];
		}
	}
	g->units.items = sorted;
	g->units.n = n;
}

/* --- refusals ------------------------------------------------------------------------------ */

static int check(struct granter *g, const struct pci_function *f)
{
	char text[PCIFN_TEXT_MAX];

	if (!pcifn_driver_is_vfio(f->driver)) {
		return err_set(g->err,
			       "%s (%s) is not on vfio-pci but on %s; it is given when it is",
			       pcifn_text(f->address, text), pcifn_role(&f->ids),
			       *f->driver ? f->driver : "no driver");
	}
	if (f->group < 0) {
		return err_set(g->err,
			       "%s (%s) has no IOMMU group; the kernel log says why, look for its "
			       "address",
			       pcifn_text(f->address, text), pcifn_role(&f->ids));
	}
	return 0;
}

static int check_all(struct granter *g)
{
	list_each(u, &g->units) {
		const struct pci_function *companion = unit_companion(*u);

		if (check(g, (*u)->card) < 0 || (companion && check(g, companion) < 0)) {
			return -1;
		}
	}
	return 0;
}

/* --- variables ----------------------------------------------------------------------------- */

static void add_variable(struct granter *g, const char *resource, const char *value)
{
	if (*value) {
		g->ret->variables.items[g->ret->variables.n++] =
			(struct dpapi_variable){resource_pci_variable(resource, g->arena), value};
	}
}

static void add_variables(struct granter *g)
{
	size_t room = g->units.n * PCIFN_TEXT_MAX + 1;
	attr_cleanup(buf_finish) struct buf gpus, companions;
	char text[PCIFN_TEXT_MAX];

	buf_init(&gpus, room);
	buf_init(&companions, room);
	list_each(u, &g->units) {
		const struct pci_function *companion = unit_companion(*u);

		buf_printf(&gpus, "%s%s", gpus.len ? "," : "",
			   pcifn_text((*u)->card->address, text));
		if (companion) {
			buf_printf(&companions, "%s%s", companions.len ? "," : "",
				   pcifn_text(companion->address, text));
		}
	}
	g->ret->variables.items = arena_array(g->arena, struct dpapi_variable, 2);
	add_variable(g, g->asked->resource, arena_strdup(g->arena, buf_text(&gpus)));
	add_variable(g, RESOURCE_COMPANION, arena_strdup(g->arena, buf_text(&companions)));
}

/* --- device nodes -------------------------------------------------------------------------- */

static void add_file(struct granter *g, const char *path)
{
	g->ret->files.items[g->ret->files.n++] = (struct dpapi_file){path, "mrw"};
}

static void add_group(struct granter *g, const struct unit *u, int64_t group)
{
	add_file(g, arena_printf(g->arena, "/dev/vfio/%" PRId64, group));
	list_each(item, &u->functions) {
		const struct pci_function *f = *item;

		if (f->group == group && f->cdev >= 0 && pcifn_driver_is_vfio(f->driver)) {
			add_file(g,
				 arena_printf(g->arena, "/dev/vfio/devices/vfio%" PRId64, f->cdev));
		}
	}
}

static void add_files(struct granter *g)
{
	size_t room = FILES_MORE;

	list_each(u, &g->units) {
		room += 2 * (*u)->functions.n + 2;
	}
	g->ret->files.items = arena_array(g->arena, struct dpapi_file, room);
	/* Without it virt-handler gives none of the others to QEMU's user. */
	add_file(g, "/dev/vfio/vfio");
	list_each(u, &g->units) {
		const struct pci_function *companion = unit_companion(*u);

		add_group(g, *u, (*u)->card->group);
		if (companion && companion->group != (*u)->card->group) {
			add_group(g, *u, companion->group);
		}
	}
	if (g->asked->machine->iommufd) {
		add_file(g, "/dev/iommu");
	}
}

int grant_make(const struct grant_asked *asked, struct arena *a, struct dpapi_grant *ret,
	       struct err *err)
{
	struct dpapi_grant grant = {0};
	struct granter g = {.asked = asked, .arena = a, .ret = &grant, .err = err};

	if (!asked->n) {
		return err_set(err, "no device of %s is asked for", asked->resource);
	}
	sort_units(&g);
	if (check_all(&g) < 0) {
		return -1;
	}
	add_variables(&g);
	add_files(&g);
	*ret = grant;
	return 0;
}
