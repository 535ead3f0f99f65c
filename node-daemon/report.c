/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/report.h"

#include <inttypes.h>
#include <string.h>

#include "api/gpu_names.h"
#include "base/buf.h"
#include "base/clock.h"
#include "node-daemon/unit.h"
#include "node-daemon/vgpu.h"

#define ALIASES_MAX 16	 /* as the CRD has it */
#define FUNCTIONS_MAX 64 /* likewise */
#define LINKS_MAX 64	 /* likewise */
#define TEXT_MAX (16 * KiB)
#define SAID_TROUBLES 3

/* --- small words --------------------------------------------------------------------------- */

static const char *address(struct arena *a, uint64_t at)
{
	char text[PCIFN_TEXT_MAX];

	return arena_strdup(a, pcifn_text(at, text));
}

static const char *or_null(const char *s)
{
	return *s ? s : NULL;
}

/* A list of texts with how often each came, in the order of their first coming. */
struct tally {
	const char *texts[MACHINE_MAX_GPUS];
	size_t counts[MACHINE_MAX_GPUS], n;
};

static void tally_add(struct tally *t, const char *text)
{
	size_t i = 0;

	while (i < t->n && !str_eq(t->texts[i], text)) {
		i++;
	}
	if (i == ARRAY_LEN(t->texts)) {
		return;
	}
	t->texts[i] = text;
	t->counts[i]++;
	t->n = MAX(t->n, i + 1);
}

/* "vfio 2, host 1", or "2x AD102GL_L40S, 1x GA107GL_A2" */
static const char *tally_text(const struct tally *t, bool times, struct arena *a)
{
	attr_cleanup(buf_finish) struct buf b;

	buf_init(&b, TEXT_MAX);
	for (size_t i = 0; i < t->n; i++) {
		buf_str(&b, i ? ", " : "");
		if (times) {
			buf_printf(&b, "%zux %s", t->counts[i], t->texts[i]);
		} else {
			buf_printf(&b, "%s %zu", t->texts[i], t->counts[i]);
		}
	}
	return b.len ? arena_strdup(a, buf_text(&b)) : NULL;
}

/* --- units --------------------------------------------------------------------------------- */

struct reporter {
	const struct machine *m;
	const struct report_facts *facts;
	const struct status *old;
	int64_t now_ms;
	struct arena *arena;
	struct unit_list units;
};

/* nvidia.com/26b9: the name that NVIDIA's plugin gives to a card that its database lacks; then what
 * the table has. */
static void add_aliases(struct reporter *r, const struct pci_function *f, struct status_unit *u)
{
	const char *known[GPU_NAMES_MAX];
	size_t n = gpu_names_aliases(f->ids.vendor, f->ids.device, known, ARRAY_LEN(known));
	int prefix = (int)strcspn(u->name, "/");
	const char *by_id = arena_printf(r->arena, "%.*s/%04x", prefix, u->name, f->ids.device);

	u->aliases.items = arena_array(r->arena, const char *, ALIASES_MAX);
	if (!str_eq(by_id, u->name)) {
		u->aliases.items[u->aliases.n++] = by_id;
	}
	for (size_t i = 0; i < n && u->aliases.n < ALIASES_MAX; i++) {
		u->aliases.items[u->aliases.n++] = known[i];
	}
}

/* The table's words for a GPU go before pci.ids, which may be too old to have it. */
static const char *description(struct reporter *r, const struct pci_function *f)
{
	uint32_t subsystem = (uint32_t)f->ids.sub_vendor << 16 | f->ids.sub_device;
	struct gpu_name n;

	if (f->kind != PCI_GPU || !gpu_names_by_id(f->ids.vendor, f->ids.device, subsystem, &n)) {
		return or_null(f->words);
	}
	return arena_printf(r->arena, "%s%s%s%s%s%s", f->vendor_words, *f->vendor_words ? " " : "",
			    n.chip, *n.chip ? " [" : "", n.model, *n.chip ? "]" : "");
}

static void add_functions(struct reporter *r, const struct unit *from, struct status_unit *u)
{
	u->functions.items = arena_array(r->arena, struct status_function,
					 MIN(from->functions.n, FUNCTIONS_MAX));
	list_each(item, &from->functions) {
		const struct pci_function *f = *item;

		if (u->functions.n == FUNCTIONS_MAX) {
			return;
		}
		u->functions.items[u->functions.n++] = (struct status_function){
			.address = address(r->arena, f->address),
			.role = pcifn_role(&f->ids),
			.vendor_id = arena_printf(r->arena, "%04x", f->ids.vendor),
			.device_id = arena_printf(r->arena, "%04x", f->ids.device),
			.class_code = arena_printf(r->arena, "%06x", f->ids.class_code),
			.driver = f->driver,
			.description = description(r, f),
		};
	}
}

static const struct status_group *group_of(struct reporter *r, const struct unit *from)
{
	struct status_group *g;

	if (!from->group) {
		return NULL;
	}
	g = arena_new(r->arena, struct status_group);
	g->id = from->group->id;
	g->members.items = arena_array(r->arena, const char *, from->group->members.n);
	list_each(at, &from->group->members) {
		g->members.items[g->members.n++] = address(r->arena, *at);
	}
	return g;
}

static const struct status_sriov *sriov_of(struct reporter *r, const struct pci_function *card)
{
	struct status_sriov *s;

	if (!card->total_vfs && !card->vfs.n) {
		return NULL;
	}
	s = arena_new(r->arena, struct status_sriov);
	s->total_vfs = card->total_vfs;
	list_each(vf, &card->vfs) {
		s->num_vfs += !vf->gone;
	}
	return s;
}

/* NVLinks of a unit that has some; NULL: it has none. */
static const struct links *nvlinks(const struct reporter *r, const struct unit *u)
{
	const struct links *l = r->facts->read ? r->facts->read->links : NULL;

	return links_any(l, u) ? l : NULL;
}

static const char *link_kind(const struct links *l, const struct unit *x, const struct unit *y)
{
	return x == y ? NULL : links_lanes(l, x, y) ? "nvlink" : unit_link(x, y);
}

/* The nearest say most: where there are too many, only they are told. */
static void add_links(struct reporter *r, const struct unit *from, struct status_unit *u)
{
	const struct links *l = nvlinks(r, from);
	size_t near = 0;

	list_each(other, &r->units) {
		near += link_kind(l, from, other) != NULL;
	}
	u->links.items = near ? arena_array(r->arena, struct status_link, LINKS_MAX) : NULL;
	list_each(other, &r->units) {
		const char *kind = link_kind(l, from, other);

		if (!kind || u->links.n == LINKS_MAX ||
		    (near > LINKS_MAX && str_eq(kind, "root"))) {
			continue;
		}
		u->links.items[u->links.n++] = (struct status_link){
			.unit = address(r->arena, other->card->address),
			.kind = kind,
			.lanes = links_lanes(l, from, other),
		};
	}
}

static const struct status_unit *before(const struct reporter *r, const char *id)
{
	for (size_t i = 0; r->old && i < r->old->units.n; i++) {
		if (str_eq(r->old->units.items[i].id, id)) {
			return &r->old->units.items[i];
		}
	}
	return NULL;
}

/* What the orders say of Available takes the place of what the state says, and is first all the same. */
static void say_conditions(struct reporter *r, const struct unit *from, struct status_unit *u,
			   const struct condition *available)
{
	const struct status_unit *said = before(r, u->id);
	const struct condition_list *old = said ? &said->conditions : NULL;
	const struct report_obeyed *o = r->facts->obeyed;

	condition_set(&u->conditions, old, r->arena, available, r->now_ms);
	for (size_t i = 0; o && i < o->notes.n; i++) {
		if (o->notes.items[i].unit == from->card->address) {
			condition_set(&u->conditions, old, r->arena, &o->notes.items[i].condition,
				      r->now_ms);
		}
	}
}

static void report_unit(struct reporter *r, const struct unit *from, struct status_unit *u)
{
	const struct pci_function *card = from->card;
	struct condition available;

	u->id = u->address = address(r->arena, card->address);
	u->name = unit_name(card, r->arena, &u->model);
	if (card->card) {
		u->physical_function = address(r->arena, card->card->address);
	} else {
		add_aliases(r, card, u);
	}
	u->vendor_id = arena_printf(r->arena, "%04x", card->ids.vendor);
	u->device_id = arena_printf(r->arena, "%04x", card->ids.device);
	u->subsystem =
		arena_printf(r->arena, "%04x:%04x", card->ids.sub_vendor, card->ids.sub_device);
	u->class_code = arena_printf(r->arena, "%06x", card->ids.class_code);
	u->boot_display = card->boot_display ? TRI_TRUE : TRI_UNSET;
	add_functions(r, from, u);
	u->group = group_of(r, from);
	u->numa_node = (struct opt_int){card->numa, card->numa >= 0};
	u->driver = card->driver;
	u->mode = unit_mode(from);
	u->vgpu_framework = card->face == VGPU_MDEV	? "mdev"
			    : card->face == VGPU_VENDOR ? "vendor-vfio"
							: NULL;
	u->sriov = sriov_of(r, card);
	add_links(r, from, u);
	vgpu_profiles(card, r->arena, u);
	vgpu_slots(card, r->arena, u);
	unit_available(r->m, from, u, r->arena, &available);
	say_conditions(r, from, u, &available);
}

/* --- use --------------------------------------------------------------------------------------- */

#define LAUNCHER "virt-launcher-"
#define LAUNCHER_SUFFIX 6 /* "-x2v7k" */
#define SAME_RESET_MS 2000

/* The machine that a launcher pod runs, by its name (KubeVirt, pkg/virt-controller/services). */
static const char *vm_of(const char *pod, struct arena *a)
{
	size_t n = strlen(pod), prefix = strlen(LAUNCHER);

	if (!str_starts(pod, LAUNCHER) || n <= prefix + LAUNCHER_SUFFIX ||
	    pod[n - LAUNCHER_SUFFIX] != '-') {
		return NULL;
	}
	return arena_strndup(a, pod + prefix, n - prefix - LAUNCHER_SUFFIX);
}

static const struct status_holder *holder_of(struct reporter *r, const struct report_use *use)
{
	struct status_holder *h;

	if (!use->pod) {
		return NULL;
	}
	h = arena_new(r->arena, struct status_holder);
	*h = (struct status_holder){use->ns, use->pod, vm_of(use->pod, r->arena)};
	return h;
}

/* When it was is counted back anew each time, and must not be news for that. */
static bool is_same_reset(const struct status_reset *last, const struct report_use *use)
{
	int64_t us, apart;

	if (!last || !str_eq(last->method, use->method) || last->ms != use->reset_ms ||
	    clock_parse(last->at, &us) < 0) {
		return false;
	}
	apart = use->reset_at - us / 1000;
	return apart < SAME_RESET_MS && apart > -SAME_RESET_MS;
}

static const struct status_reset *reset_of(struct reporter *r, const struct report_use *use,
					   const struct status_reset *last)
{
	struct status_reset *now;
	char text[CLOCK_TEXT_MAX];

	if (use->never) {
		return NULL;
	}
	if (!use->method || is_same_reset(last, use)) {
		return last;
	}
	now = arena_new(r->arena, struct status_reset);
	*now = (struct status_reset){use->method,
				     arena_strdup(r->arena, clock_time(use->reset_at * 1000, text)),
				     use->reset_ms};
	return now;
}

/* Another one in its place was never reset by us. */
static bool is_same_card(const struct status_unit *x, const struct status_unit *y)
{
	return str_eq(x->vendor_id, y->vendor_id) && str_eq(x->device_id, y->device_id) &&
	       str_eq(x->subsystem ? x->subsystem : "", y->subsystem ? y->subsystem : "");
}

static void say_slots(struct status_unit *u, const struct report_obeyed *o)
{
	list_each(slot, &u->slots) {
		for (size_t k = 0; slot->type && k < o->slots.n; k++) {
			const struct report_slot *s = &o->slots.items[k];

			if (str_eq(s->vf, slot->vf) &&
			    str_eq(s->uuid, slot->uuid ? slot->uuid : "")) {
				slot->holder = s->holder;
			}
		}
	}
}

static void say_resource(struct status_unit *u, uint64_t unit, const struct report_obeyed *o)
{
	list_each(l, &o->listed) {
		if (l->unit == unit && !str_eq(l->resource, u->name)) {
			u->resource = l->resource;
		}
	}
}

static void say_uses(struct reporter *r, struct status *ret)
{
	const struct report_obeyed *o = r->facts->obeyed;

	for (size_t i = 0; i < ret->units.n; i++) {
		struct status_unit *u = &ret->units.items[i];
		const struct status_unit *old = before(r, u->id);

		u->last_reset = old && is_same_card(old, u) ? old->last_reset : NULL;
		if (o) {
			say_slots(u, o);
			say_resource(u, r->units.items[i].card->address, o);
		}
		for (size_t k = 0; o && k < o->served.n; k++) {
			if (o->served.items[k].unit == r->units.items[i].card->address) {
				u->served_by = o->served.items[k].resource;
			}
		}
		for (size_t k = 0; o && k < o->uses.n; k++) {
			if (o->uses.items[k].unit == r->units.items[i].card->address) {
				u->holder = holder_of(r, &o->uses.items[k]);
				u->last_reset = reset_of(r, &o->uses.items[k], u->last_reset);
			}
		}
	}
}

/* --- what is said once --------------------------------------------------------------------- */

static const struct status_unit *first_like(const struct status *s, const struct status_unit *u)
{
	const struct status_unit *first = s->units.items;

	while (!str_eq(first->vendor_id, u->vendor_id) || !str_eq(first->device_id, u->device_id)) {
		first++;
	}
	return first;
}

static bool has_same(const struct status_unit *u, const struct status_profile *p)
{
	list_each(q, &u->profiles) {
		if (str_eq(q->name, p->name)) {
			return str_eq(q->id, p->id) && q->framebuffer_mib == p->framebuffer_mib &&
			       q->max == p->max;
		}
	}
	return false;
}

/* Sixteen cards of one model have thirty types each: what is the same stands on the first of them.
 */
static void say_types_once(struct status *s)
{
	for (size_t i = s->units.n; i-- > 1;) {
		struct status_unit *u = &s->units.items[i];
		const struct status_unit *first = first_like(s, u);

		for (size_t k = 0; first != u && k < u->profiles.n; k++) {
			struct status_profile *p = &u->profiles.items[k];

			if (has_same(first, p)) {
				*p = (struct status_profile){.name = p->name,
							     .available = p->available};
			}
		}
	}
}

/* --- the node ------------------------------------------------------------------------------ */

static const char *groups_text(struct reporter *r)
{
	attr_cleanup(buf_finish) struct buf b;

	buf_init(&b, TEXT_MAX);
	list_each(u, &r->units) {
		buf_str(&b, b.len ? "," : "");
		if (u->group) {
			buf_printf(&b, "%" PRId64, u->group->id);
		} else {
			buf_char(&b, '-');
		}
	}
	return b.len ? arena_strdup(r->arena, buf_text(&b)) : NULL;
}

static const struct status_summary *summarize(struct reporter *r)
{
	struct status_summary *s = arena_new(r->arena, struct status_summary);
	struct tally names = {0}, modes = {0}, drivers = {0};

	list_each(u, &r->units) {
		tally_add(&modes, unit_mode(u));
		list_each(item, &u->functions) {
			const struct pci_function *f = *item;
			const char *model, *name, *slash;

			if (f->kind != PCI_GPU) {
				continue;
			}
			name = unit_name(f, r->arena, &model);
			slash = strchr(name, '/');
			tally_add(&names, slash ? slash + 1 : name);
			tally_add(&drivers, *f->driver ? f->driver : "none");
			s->gpus++;
		}
	}
	s->names = tally_text(&names, true, r->arena);
	s->modes = tally_text(&modes, false, r->arena);
	s->drivers = tally_text(&drivers, false, r->arena);
	s->groups = groups_text(r);
	return s;
}

static const struct status_node_info *node_info(struct reporter *r)
{
	struct status_node_info *i = arena_new(r->arena, struct status_node_info);

	i->kernel = r->facts->kernel;
	i->iommu = unit_iommu_words(r->m);
	i->versions.items = arena_array(r->arena, struct pair, 3);
	i->versions.items[i->versions.n++] = (struct pair){"vmgpu-node", r->facts->version};
	if (*r->m->nvidia) {
		i->versions.items[i->versions.n++] = (struct pair){"nvidia", r->m->nvidia};
	}
	if (r->facts->read && *r->facts->read->library) {
		i->versions.items[i->versions.n++] =
			(struct pair){"libnvidia-ml", r->facts->read->library};
	}
	return i;
}

static const char *troubles_text(struct reporter *r, const char *message)
{
	attr_cleanup(buf_finish) struct buf b;

	buf_init(&b, TEXT_MAX);
	buf_printf(&b, "%s; %zu things could not be read", message, r->m->troubles.n);
	for (size_t i = 0; i < MIN(r->m->troubles.n, SAID_TROUBLES); i++) {
		const struct trouble *t = &r->m->troubles.items[i];

		buf_printf(&b, "%s%s: %s", i ? "; " : ": ", t->where, t->what);
	}
	return buf_ok(&b) ? arena_strdup(r->arena, buf_text(&b)) : message;
}

static bool wants_passthrough(const struct reporter *r)
{
	list_each(u, &r->units) {
		if (!str_eq(unit_mode(u), "vgpu")) {
			return true;
		}
	}
	return false;
}

/* Vendor VFIO passes virtual functions through; mediated devices need no IOMMU. */
static bool wants_iommu(const struct reporter *r)
{
	list_each(u, &r->units) {
		if (u->card->face != VGPU_MDEV) {
			return true;
		}
	}
	return false;
}

static void judge_node(struct reporter *r, const struct status_summary *s, struct status *ret)
{
	struct condition c = {.type = "Ready", .status = "True", .reason = "Reporting"};

	if (r->facts->blind) {
		c.status = "Unknown";
		c.reason = "NotLookedAt";
		c.message = arena_printf(
			r->arena,
			"the machine could not be looked at again: %s; the report is of "
			"the last look that succeeded",
			r->facts->blind);
	} else if (!r->units.n) {
		c.reason = "NoGPUs";
		c.message = "no GPU on this node";
	} else if (wants_iommu(r) && !*r->m->iommu) {
		c.status = "False";
		c.reason = "NoIOMMU";
		c.message = arena_printf(r->arena, "no GPU can be passed through; IOMMU: %s",
					 unit_iommu_words(r->m));
	} else if (wants_passthrough(r) && !r->m->vfio_pci) {
		c.status = "False";
		c.reason = "NoVFIO";
		c.message =
			"no GPU can be passed through: the kernel's driver vfio-pci is not loaded; modprobe vfio-pci, and name it "
			"in /etc/modules-load.d";
	} else {
		c.message = arena_printf(r->arena, "%" PRId64 " GPUs in %zu units", s->gpus,
					 r->units.n);
	}
	if (r->m->troubles.n) {
		c.reason = str_eq(c.status, "True") ? "PartlyUnreadable" : c.reason;
		c.message = troubles_text(r, c.message);
	}
	condition_set(&ret->conditions, r->old ? &r->old->conditions : NULL, r->arena, &c,
		      r->now_ms);
}

void report(const struct machine *m, const struct report_facts *facts, const struct status *old,
	    int64_t now_ms, struct arena *a, struct status *ret)
{
	struct reporter r = {.m = m, .facts = facts, .old = old, .now_ms = now_ms, .arena = a};

	*ret = (struct status){0};
	units_make(m, a, &r.units);
	ret->units.items = arena_array(a, struct status_unit, r.units.n);
	list_each(u, &r.units) {
		report_unit(&r, u, &ret->units.items[ret->units.n++]);
	}
	say_uses(&r, ret);
	say_types_once(ret);
	ret->summary = summarize(&r);
	ret->node_info = node_info(&r);
	judge_node(&r, ret->summary, ret);
	if (facts->obeyed && facts->obeyed->obeying.type) {
		ret->observed_term = facts->obeyed->term;
		ret->observed_generation = facts->obeyed->generation;
		condition_set(&ret->conditions, old ? &old->conditions : NULL, a,
			      &facts->obeyed->obeying, now_ms);
	}
	if (facts->obeyed && facts->obeyed->supplying.type) {
		condition_set(&ret->conditions, old ? &old->conditions : NULL, a,
			      &facts->obeyed->supplying, now_ms);
	}
	if (facts->read && facts->read->condition.type) {
		condition_set(&ret->conditions, old ? &old->conditions : NULL, a,
			      &facts->read->condition, now_ms);
	}
}
