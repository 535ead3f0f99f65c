/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/vgpu.h"

#include <stdlib.h>
#include <string.h>

#include "gen/vgpu_types.inc"
#include "node-daemon/fit.h"

/* --- the table ----------------------------------------------------------------------------- */

const struct vgpu_known *vgpu_known_all(uint16_t device, size_t *ret_n)
{
	size_t from = 0, to = ARRAY_LEN(rows), end;

	while (from < to) {
		size_t mid = (from + to) / 2;

		if (rows[mid].device < device) {
			from = mid + 1;
		} else {
			to = mid;
		}
	}
	for (end = from; end < ARRAY_LEN(rows) && rows[end].device == device; end++) {
	}
	*ret_n = end - from;
	return *ret_n ? &rows[from] : NULL;
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
	const char *word = last_word(name);

	for (size_t i = 0; i < n; i++) {
		if (str_eq(last_word(k[i].name), word)) {
			return &k[i];
		}
	}
	return NULL;
}

bool vgpu_same_name(const char *x, const char *y)
{
	return str_eq(last_word(x), last_word(y));
}

bool vgpu_is_mig(const char *name)
{
	const char *word = last_word(name), *dash = strrchr(word, '-');

	return dash && dash > word && dash[-1] >= '0' && dash[-1] <= '9' && dash - word >= 2 &&
	       dash[-2] == '-';
}

const struct vgpu_known *vgpu_known_of(const struct pci_function *card, const char *name)
{
	return card->ids.vendor == PCIFN_NVIDIA ? vgpu_known_name(card->ids.device, name) : NULL;
}

bool vgpu_knows(const struct pci_function *card)
{
	size_t n = 0;

	if (card->ids.vendor == PCIFN_NVIDIA) {
		vgpu_known_all(card->ids.device, &n);
	}
	return n || card->types.n;
}

/* --- the card ------------------------------------------------------------------------------ */

int64_t vgpu_number(const char *id)
{
	const char *dash = strrchr(id, '-');
	int64_t number;

	return parse_int(dash ? dash + 1 : id, 1, UINT16_MAX, &number) < 0 ? 0 : number;
}

bool vgpu_creatable_line(char *line, const char **ret_id, const char **ret_name)
{
	char *id = line + strspn(line, " \t"), *end = id + strspn(id, "0123456789");
	char *name = end + strspn(end, " \t"), *last;

	if (end == id || end - id > 9 || *name != ':') {
		return false;
	}
	name += 1 + strspn(name + 1, " \t");
	for (last = name + strlen(name); last > name && strchr(" \t\r\v\f", last[-1]); last--) {
		last[-1] = 0;
	}
	*end = 0;
	*ret_id = id;
	*ret_name = name;
	return *name;
}

const char *vgpu_type_name(const struct pci_function *card, const char *id)
{
	const struct vgpu_known *k;

	list_each(t, &card->types) {
		if (vgpu_number(id) ? vgpu_number(t->id) == vgpu_number(id) : str_eq(t->id, id)) {
			return t->name;
		}
	}
	k = card->ids.vendor == PCIFN_NVIDIA ? vgpu_known_id(card->ids.device, vgpu_number(id))
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

bool vgpu_place_free(const struct pci_function *card, const struct pci_vf *vf)
{
	return vf->face != VGPU_NONE && !vf->gone && !*vf->type && can_be_passed(vf) &&
	       !has_mdev(card, vf->address);
}

/* --- profiles ------------------------------------------------------------------------------ */

struct maker {
	const struct pci_function *card;
	struct status_profile *items;
	size_t n, size;
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
	const struct vgpu_known *k = vgpu_known_of(m->card, p->name);

	if (m->n == m->size || find(m, p->name)) {
		return;
	}
	m->items[m->n] = *p;
	m->items[m->n].framebuffer_mib = p->framebuffer_mib ? p->framebuffer_mib
					 : k		    ? k->framebuffer_mib
							    : 0;
	m->items[m->n].max = p->max ? p->max : k ? k->max : 0;
	m->n++;
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
		if (k[i].id && vgpu_is_mig(k[i].name) == vgpu_is_mig(made_name)) {
			add(m, &(struct status_profile){.name = k[i].name,
							.id = arena_printf(a, "%u", k[i].id)});
		}
	}
}

static int by_number(const void *a, const void *b)
{
	const struct status_profile *x = a, *y = b;
	int64_t i = vgpu_number(x->id), k = vgpu_number(y->id);

	return i != k ? (i > k) - (i < k) : strcmp(x->name, y->name);
}

static void count_fits(struct maker *m)
{
	enum fit_mode mode = fit_mode(m->card);

	list_each(t, &m->card->types) {
		struct status_profile *p = find(m, t->name);
		struct vgpu_type full = *t;

		if (p) {
			full.framebuffer_mib = p->framebuffer_mib;
			full.max = p->max;
			p->available = fit_more(m->card, &full, mode);
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
	if (made && card->ids.vendor == PCIFN_NVIDIA) {
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
		if (vf->gone || vf->whole) {
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
