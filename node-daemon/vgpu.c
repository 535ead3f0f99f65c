/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/vgpu.h"

#include <stdlib.h>
#include <string.h>

#include "gen/vgpu_types.inc"

#define VENDOR_NVIDIA 0x10de

/* --- the table ----------------------------------------------------------------------------- */

const struct vgpu_known *vgpu_known_all(uint16_t device, size_t *ret_n)
{
	const struct vgpu_known *first = NULL;

	*ret_n = 0;
	for (size_t i = 0; i < ARRAY_LEN(rows) && rows[i].device <= device; i++) {
		if (rows[i].device == device) {
			first = first ? first : &rows[i];
			++*ret_n;
		}
	}
	return first;
}

const struct vgpu_known *vgpu_known_id(uint16_t device, int64_t id)
{
	size_t n;
	const struct vgpu_known *k = vgpu_known_all(device, &n);

	for (size_t i = 0; i < n && id; i++) {
		if (k[i].id == id) {
			return &k[i];
		}
	}
	return NULL;
}

static const char *last_word(const char *name)
{
	const char *space = strrchr(name, ' ');

	return space ? space + 1 : name;
}

const struct vgpu_known *vgpu_known_name(uint16_t device, const char *name)
{
	size_t n;
	const struct vgpu_known *k = vgpu_known_all(device, &n);

	for (size_t i = 0; i < n; i++) {
		if (str_eq(last_word(k[i].name), last_word(name))) {
			return &k[i];
		}
	}
	return NULL;
}

/* --- the card ------------------------------------------------------------------------------ */

/* 746 of nvidia-746, 1148 of 1148. */
static int64_t number_of(const char *id)
{
	const char *dash = strrchr(id, '-');
	int64_t number;

	return parse_int(dash ? dash + 1 : id, 1, UINT16_MAX, &number) < 0 ? 0 : number;
}

const char *vgpu_type_name(const struct pci_function *card, const char *id)
{
	const struct vgpu_known *k;

	list_each(t, &card->types) {
		if (number_of(id) ? number_of(t->id) == number_of(id) : str_eq(t->id, id)) {
			return t->name;
		}
	}
	k = card->ids.vendor == VENDOR_NVIDIA ? vgpu_known_id(card->ids.device, number_of(id))
					      : NULL;
	return k ? k->name : id;
}

size_t vgpu_made(const struct pci_function *card)
{
	size_t made = card->mdevs.n;

	list_each(vf, &card->vfs) {
		made += *vf->type != 0;
	}
	return made;
}

static bool has_mdev(const struct pci_function *card, uint64_t place)
{
	list_each(d, &card->mdevs) {
		if (d->parent == place) {
			return true;
		}
	}
	return false;
}

/* With vendor VFIO the virtual function itself is passed through. */
static bool can_be_passed(const struct pci_vf *vf)
{
	return vf->face != VGPU_VENDOR ||
	       (vf->group >= 0 && vf->address >> 16 <= MACHINE_KUBEVIRT_DOMAIN);
}

size_t vgpu_free_places(const struct pci_function *card)
{
	size_t n = 0;

	list_each(vf, &card->vfs) {
		n += vf->face != VGPU_NONE && !vf->gone && !*vf->type && can_be_passed(vf) &&
		     !has_mdev(card, vf->address);
	}
	return n;
}

/* --- profiles ------------------------------------------------------------------------------ */

struct maker {
	const struct pci_function *card;
	struct status_profile *items;
	size_t n, size;
	int64_t card_mib, used_mib; /* 0: not known */
};

static struct status_profile *find(struct maker *m, const char *name)
{
	for (size_t i = 0; i < m->n; i++) {
		if (str_eq(m->items[i].name, name)) {
			return &m->items[i];
		}
	}
	return NULL;
}

static void add(struct maker *m, const struct status_profile *p)
{
	const struct vgpu_known *k = NULL;

	if (m->n == m->size || find(m, p->name)) {
		return;
	}
	if (m->card->ids.vendor == VENDOR_NVIDIA) {
		k = vgpu_known_name(m->card->ids.device, p->name);
	}
	m->items[m->n] = *p;
	m->items[m->n].framebuffer_mib = p->framebuffer_mib ? p->framebuffer_mib
					 : k		    ? k->framebuffer_mib
							    : 0;
	m->items[m->n].max = p->max ? p->max : k ? k->max : 0;
	m->n++;
}

/* MIG types name their slices: A100D-2-20C, DC-1-12Q. */
static bool is_mig(const char *name)
{
	const char *word = last_word(name), *dash = strrchr(word, '-');

	return dash && dash > word && dash[-1] >= '0' && dash[-1] <= '9' && dash - word >= 2 &&
	       dash[-2] == '-';
}

/*
 * With vendor VFIO a card on which something was made lists only what still fits, and nothing when
 * it is full. The types of an empty card of that kind stay in the report, so that a vGPU's life
 * does not change what the node can give.
 */
static void add_unlisted(struct maker *m, struct arena *a, const char *made_name)
{
	size_t n;
	const struct vgpu_known *k = vgpu_known_all(m->card->ids.device, &n);

	for (size_t i = 0; i < n; i++) {
		if (k[i].id && is_mig(k[i].name) == is_mig(made_name)) {
			add(m, &(struct status_profile){.name = k[i].name,
							.id = arena_printf(a, "%u", k[i].id)});
		}
	}
}

static void count_used(struct maker *m, const char *type_id)
{
	const struct status_profile *p = find(m, vgpu_type_name(m->card, type_id));

	m->used_mib += p ? p->framebuffer_mib : 0;
}

/* How many more fit: what the driver offers, but no more than memory and the driver's own maximum
 * allow (nvidia.md 2.4). */
static int64_t still_fit(const struct maker *m, const struct vgpu_type *t,
			 const struct status_profile *p)
{
	int64_t made = (int64_t)vgpu_made(m->card), fit = t->offered;

	if (m->card->vfs.n) {
		fit *= (int64_t)vgpu_free_places(m->card);
	}
	if (fit <= 0) {
		return 0;
	}
	if (p->max) {
		fit = MIN(fit, p->max - made);
	}
	if (p->framebuffer_mib && m->card_mib) {
		fit = MIN(fit, (m->card_mib - m->used_mib) / p->framebuffer_mib);
	}
	return MAX(fit, 1); /* offered: one fits, whatever we count */
}

static int by_number(const void *a, const void *b)
{
	const struct status_profile *x = a, *y = b;
	int64_t i = number_of(x->id), k = number_of(y->id);

	return i != k ? (i > k) - (i < k) : strcmp(x->name, y->name);
}

static void count_fits(struct maker *m)
{
	list_each(d, &m->card->mdevs) {
		count_used(m, d->type);
	}
	list_each(vf, &m->card->vfs) {
		if (*vf->type) {
			count_used(m, vf->type);
		}
	}
	for (size_t i = 0; i < m->n; i++) {
		m->card_mib = MAX(m->card_mib, m->items[i].framebuffer_mib * m->items[i].max);
	}
	list_each(t, &m->card->types) {
		struct status_profile *p = find(m, t->name);

		if (p) {
			p->available = still_fit(m, t, p);
		}
	}
}

void vgpu_profiles(const struct pci_function *card, struct arena *a, struct status_unit *ret)
{
	struct maker m = {.card = card, .size = MACHINE_MAX_TYPES};
	const char *made = NULL;

	if (card->face == VGPU_NONE) {
		return;
	}
	m.items = arena_array(a, struct status_profile, m.size);
	list_each(t, &card->types) {
		add(&m, &(struct status_profile){t->name, t->id, t->framebuffer_mib, t->max, 0});
	}
	list_each(vf, &card->vfs) {
		if (*vf->type) {
			made = vgpu_type_name(card, vf->type);
			add(&m, &(struct status_profile){.name = made, .id = vf->type});
		}
	}
	if (made && card->ids.vendor == VENDOR_NVIDIA) {
		add_unlisted(&m, a, made);
	}
	count_fits(&m);
	if (m.n) {
		qsort(m.items, m.n, sizeof(*m.items), by_number);
	}
	ret->profiles.items = m.items;
	ret->profiles.n = m.n;
}

/* --- slots --------------------------------------------------------------------------------- */

static const char *address(struct arena *a, uint64_t at)
{
	char text[PCIFN_TEXT_MAX];

	return arena_strdup(a, pcifn_text(at, text));
}

static void add_mdevs(const struct pci_function *card, uint64_t place, struct arena *a,
		      struct status_unit *ret)
{
	list_each(d, &card->mdevs) {
		if (d->parent == place && ret->slots.n < MACHINE_MAX_VFS) {
			ret->slots.items[ret->slots.n++] = (struct status_slot){
				.vf = address(a, place),
				.type = *d->type ? vgpu_type_name(card, d->type) : NULL,
				.uuid = d->uuid,
			};
		}
	}
}

void vgpu_slots(const struct pci_function *card, struct arena *a, struct status_unit *ret)
{
	if (!card->vfs.n && !card->mdevs.n) {
		return;
	}
	ret->slots.items = arena_array(a, struct status_slot, MACHINE_MAX_VFS);
	add_mdevs(card, card->address, a, ret);
	list_each(vf, &card->vfs) {
		if (vf->gone) {
			continue;
		}
		if (has_mdev(card, vf->address)) {
			add_mdevs(card, vf->address, a, ret);
		} else if (ret->slots.n < MACHINE_MAX_VFS) {
			ret->slots.items[ret->slots.n++] = (struct status_slot){
				.vf = address(a, vf->address),
				.type = *vf->type ? vgpu_type_name(card, vf->type) : NULL,
			};
		}
	}
}
