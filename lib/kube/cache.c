/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Per kind one index by name, one by owner (empty where nothing is owned), one by the kind's second
 * key, and the resourceVersion that the watch has reached. That position decides two questions
 * exactly, because resourceVersions of a kind are one sequence: whether a write of ours has come
 * back, and whether an answer is older than what the watch has told.
 *
 * Notes hold what is known about few objects only: a write still on its way, a learned fingerprint.
 */
#include "kube/cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/slab.h"
#include "kube/index.h"

struct shelf {
	const struct kube_kind *kind;
	struct index names, owners, keyed;
	char *version, *position;
	const struct cache_memo *memo;
	void *made;	/* by it; NULL: not yet, or no longer true */
	uint32_t syncs; /* begun so far */
	uint8_t mark;	/* of the sync under way, or of the last one */
	bool syncing, fresh, synced;
};

struct note {
	char *rv;      /* of our last write, while the watch has not reached it */
	uint32_t sync; /* shelf.syncs when it was noted */
	uint64_t owned;
	char key[];
};

struct cache {
	struct shelf *shelves;
	size_t n_shelves, bytes;
	struct intern *strings;
	struct map notes;
	struct buf scratch;
	struct listener {
		cache_listener *fn;
		void *ctx;
	} *listeners;
	size_t n_listeners;
};

static void forget_made(struct shelf *s)
{
	if (s->made) {
		s->memo->destroy(take(s->made));
	}
}

static const char *owner_of(const struct obj *o)
{
	return o->owner_uid;
}

struct cache *cache_create(const struct kube_kind *const *kinds)
{
	struct cache *c = xcalloc(1, sizeof(*c));

	while (kinds[c->n_shelves]) {
		c->n_shelves++;
	}
	c->shelves = xcalloc(c->n_shelves, sizeof(*c->shelves));
	for (size_t i = 0; i < c->n_shelves; i++) {
		struct shelf *s = &c->shelves[i];
		const char *versions = kinds[i]->versions;

		*s = (struct shelf){.kind = kinds[i],
				    .owners.key = owner_of,
				    .keyed.key = kinds[i]->second_key};
		if (kinds[i]->builtin) {
			s->version = xstrndup(versions, strcspn(versions, " "));
		}
	}
	c->strings = intern_create();
	map_init(&c->notes);
	buf_init(&c->scratch, 4 * KiB);
	return c;
}

static struct shelf *shelf_of(const struct cache *c, const struct kube_kind *k)
{
	for (size_t i = 0; i < c->n_shelves; i++) {
		if (c->shelves[i].kind == k) {
			return &c->shelves[i];
		}
	}
	return NULL;
}

static void free_object(struct cache *c, const struct kube_kind *k, const struct obj *o)
{
	c->bytes -= slab_size(o);
	type_free(k->type, (void *)o, c->strings);
}

struct cache *cache_destroy(struct cache *c)
{
	if (!c) {
		return NULL;
	}
	for (struct shelf *s = c->shelves; s < c->shelves + c->n_shelves; s++) {
		for (size_t i = 0; i < s->names.size; i++) {
			if (s->names.slots[i]) {
				free_object(c, s->kind, s->names.slots[i]);
			}
		}
		index_finish(&s->names);
		index_finish(&s->owners);
		index_finish(&s->keyed);
		forget_made(s);
		free(s->version);
		free(s->position);
	}
	for (struct map_slot *slot = NULL; (slot = map_next(&c->notes, slot));) {
		free(((struct note *)slot->value)->rv);
		free(slot->value);
	}
	map_finish(&c->notes);
	buf_finish(&c->scratch);
	intern_destroy(c->strings);
	free(c->shelves);
	free(c->listeners);
	free(c);
	return NULL;
}

void cache_listen(struct cache *c, cache_listener *fn, void *ctx)
{
	c->listeners = xrealloc(c->listeners, (c->n_listeners + 1) * sizeof(*c->listeners));
	c->listeners[c->n_listeners++] = (struct listener){fn, ctx};
}

static void tell(const struct cache *c, const struct kube_kind *k, const struct obj *old,
		 const struct obj *now)
{
	for (size_t i = 0; i < c->n_listeners; i++) {
		c->listeners[i].fn(c->listeners[i].ctx, k, old, now);
	}
}

static void replace(char **p, const char *s)
{
	free(*p);
	*p = s ? xstrdup(s) : NULL;
}

/* Notes. */

static const char *note_key(const struct cache *c, const struct shelf *s, const char *ns,
			    const char *name)
{
	struct buf *b = (struct buf *)&c->scratch;

	buf_reset(b);
	buf_printf(b, "%zu/%s/%s", (size_t)(s - c->shelves), ns ? ns : "", name);
	return buf_text(b);
}

static struct note *note_get(const struct cache *c, const struct shelf *s, const char *ns,
			     const char *name)
{
	return c->notes.n ? map_get(&c->notes, note_key(c, s, ns, name)) : NULL;
}

static struct note *note_make(struct cache *c, const struct shelf *s, const char *ns,
			      const char *name)
{
	const char *key = note_key(c, s, ns, name);
	struct note *note = map_get(&c->notes, key);

	if (!note) {
		size_t n = strlen(key) + 1;

		note = xcalloc(1, sizeof(*note) + n);
		memcpy(note->key, key, n);
		map_put(&c->notes, note->key, note);
	}
	return note;
}

static void note_tidy(struct cache *c, struct note *note)
{
	if (note && !note->rv && !note->owned) {
		map_del(&c->notes, note->key);
		free(note);
	}
}

/* The object was seen in this version: a write up to it has come back. */
static void note_seen(struct cache *c, const struct shelf *s, const struct obj *o)
{
	struct note *note = note_get(c, s, o->ns, o->name);

	if (note && note->rv && rv_compare(o->rv, note->rv) >= 0) {
		replace(&note->rv, NULL);
		note_tidy(c, note);
	}
}

/* A write of ours, made since this sync began, is beyond rv. */
static bool note_newer(const struct cache *c, const struct shelf *s, const struct obj *o,
		       const char *rv)
{
	const struct note *note = note_get(c, s, o->ns, o->name);

	return note && note->rv && rv_compare(note->rv, rv) > 0 &&
	       (!s->fresh || note->sync == s->syncs);
}

void cache_wrote(struct cache *c, const struct kube_kind *k, const char *ns, const char *name,
		 const char *rv)
{
	struct shelf *s = shelf_of(c, k);
	struct note *note;

	if (str_empty(rv) || rv_compare(s->position, rv) >= 0) {
		return;
	}
	note = note_make(c, s, ns, name);
	if (rv_compare(rv, note->rv) > 0) {
		replace(&note->rv, rv);
		note->sync = s->syncs;
	}
}

bool cache_caught_up(const struct cache *c, const struct kube_kind *k, const char *ns,
		     const char *name)
{
	const struct shelf *s = shelf_of(c, k);
	const struct note *note = note_get(c, s, ns, name);

	return !note || !note->rv || rv_compare(s->position, note->rv) >= 0;
}

void cache_learn_owned(struct cache *c, const struct kube_kind *k, const char *ns, const char *name,
		       uint64_t owned)
{
	struct note *note = note_make(c, shelf_of(c, k), ns, name);

	note->owned = owned;
	note_tidy(c, note);
}

uint64_t cache_learned_owned(const struct cache *c, const struct kube_kind *k, const char *ns,
			     const char *name)
{
	const struct note *note = note_get(c, shelf_of(c, k), ns, name);

	return note ? note->owned : 0;
}

/* Objects in and out. */

static const struct obj *pack(struct cache *c, const struct kube_kind *k, const void *object)
{
	const struct obj *o = type_pack(k->type, object, c->strings);

	c->bytes += slab_size(o);
	return o;
}

static const char *key_in(const struct index *ix, const struct obj *o)
{
	return o && ix->key ? ix->key(o) : NULL;
}

/* In an index of the many: old goes, now takes its place. Either may be NULL. */
static void rekey(struct index *ix, const struct obj *old, const struct obj *now)
{
	const char *before = key_in(ix, old), *after = key_in(ix, now);

	if (before && str_eq(before, after)) {
		ix->slots[index_find_object(ix, old)] = now;
		return;
	}
	if (before) {
		index_remove(ix, index_find_object(ix, old));
	}
	if (after) {
		index_add(ix, now);
	}
}

/* Before old is freed, since what was made of all may borrow from it. */
static void rekey_all(struct shelf *s, const struct obj *old, const struct obj *now)
{
	forget_made(s);
	rekey(&s->owners, old, now);
	rekey(&s->keyed, old, now);
}

static enum cache_change drop(struct cache *c, struct shelf *s, size_t slot)
{
	const struct obj *o = s->names.slots[slot];
	struct note *note = note_get(c, s, o->ns, o->name);

	index_remove(&s->names, slot);
	rekey_all(s, o, NULL);
	if (note) {
		note->owned = 0;
		note_tidy(c, note);
	}
	tell(c, s->kind, o, NULL);
	free_object(c, s->kind, o);
	return CACHE_REMOVED;
}

static enum cache_change add(struct cache *c, struct shelf *s, const void *object, uint8_t mark)
{
	const struct obj *o = pack(c, s->kind, object);
	size_t slot = index_add(&s->names, o);

	s->names.marks[slot] = mark;
	rekey_all(s, NULL, o);
	tell(c, s->kind, NULL, o);
	return CACHE_ADDED;
}

static enum cache_change change(struct cache *c, struct shelf *s, size_t slot, const void *object)
{
	const struct obj *old = s->names.slots[slot], *now;
	bool same_rv = str_eq(old->rv, ((const struct obj *)object)->rv);
	bool same = type_equal(s->kind->type, old, object);

	if (same && same_rv) {
		return CACHE_SAME;
	}
	same &= !s->kind->metadata_only;
	now = pack(c, s->kind, object);
	s->names.slots[slot] = now;
	rekey_all(s, old, now);
	if (!same) {
		tell(c, s->kind, old, now);
	}
	free_object(c, s->kind, old);
	return same ? CACHE_SAME : CACHE_CHANGED;
}

/* May o replace what we have? Not if it is older, unless a fresh list shows it. */
static bool acceptable(const struct cache *c, const struct shelf *s, const struct obj *have,
		       const struct obj *o)
{
	if (str_empty(o->rv) || rv_compare(o->rv, have->rv) >= 0) {
		return true;
	}
	return s->syncing && s->fresh && !note_newer(c, s, o, o->rv);
}

static enum cache_change put(struct cache *c, struct shelf *s, const struct obj *o, bool shown)
{
	size_t slot = index_find(&s->names, o->ns, o->name);
	uint8_t mark = shown && s->syncing ? s->mark : 0;

	if (slot == INDEX_NONE) {
		return add(c, s, o, mark);
	}
	if (mark) {
		s->names.marks[slot] = mark;
	}
	return acceptable(c, s, s->names.slots[slot], o) ? change(c, s, slot, o) : CACHE_SAME;
}

/* What no API server shows: plans need not be asked whether an object has its names. */
static bool nameless(const struct kube_kind *k, const struct obj *o)
{
	return str_empty(o->name) || (k->namespaced && str_empty(o->ns));
}

enum cache_change cache_put(struct cache *c, const struct kube_kind *k, const void *object)
{
	struct shelf *s = shelf_of(c, k);
	const struct obj *o = object;
	enum cache_change r;

	if (nameless(k, o)) {
		return CACHE_SAME;
	}
	r = put(c, s, o, true);
	note_seen(c, s, o);
	return r;
}

enum cache_change cache_answered(struct cache *c, const struct kube_kind *k, const void *object)
{
	struct shelf *s = shelf_of(c, k);
	const struct obj *o = object;

	if (nameless(k, o) || rv_compare(s->position, o->rv) >= 0) {
		return CACHE_SAME;
	}
	cache_wrote(c, k, o->ns, o->name, o->rv);
	return put(c, s, o, false);
}

enum cache_change cache_gone(struct cache *c, const struct kube_kind *k, const void *object)
{
	struct shelf *s = shelf_of(c, k);
	const struct obj *o = object, *have;
	size_t slot;

	if (nameless(k, o)) {
		return CACHE_SAME;
	}
	slot = index_find(&s->names, o->ns, o->name);
	have = slot == INDEX_NONE ? NULL : s->names.slots[slot];
	if (have && !str_eq(have->uid, o->uid) && rv_compare(o->rv, have->rv) < 0) {
		return CACHE_SAME;
	}
	note_seen(c, s, o);
	return have ? drop(c, s, slot) : CACHE_SAME;
}

enum cache_change cache_del(struct cache *c, const struct kube_kind *k, const char *ns,
			    const char *name)
{
	struct shelf *s = shelf_of(c, k);
	size_t slot = index_find(&s->names, ns, name);

	return slot == INDEX_NONE ? CACHE_SAME : drop(c, s, slot);
}

/* Syncs. */

void cache_sync_begin(struct cache *c, const struct kube_kind *k, bool fresh)
{
	struct shelf *s = shelf_of(c, k);

	s->syncing = true;
	s->fresh = fresh;
	s->syncs++;
	if (!++s->mark) { /* once around: old marks must not look new */
		memset(s->names.marks, 0, s->names.size);
		s->mark = 1;
	}
}

/* Calls fn for each object's slot; fn may remove it (true) or not. */
static void each_slot(struct cache *c, struct shelf *s,
		      bool (*fn)(struct cache *c, struct shelf *s, size_t slot, const char *rv),
		      const char *rv)
{
	for (size_t i = 0; i < s->names.size;) {
		if (!s->names.slots[i] || !fn(c, s, i, rv)) {
			i++;
		}
	}
}

static bool sweep(struct cache *c, struct shelf *s, size_t slot, const char *rv)
{
	if (s->names.marks[slot] == s->mark || note_newer(c, s, s->names.slots[slot], rv)) {
		return false;
	}
	drop(c, s, slot);
	return true;
}

static bool sweep_all(struct cache *c, struct shelf *s, size_t slot, const char *rv attr_unused)
{
	drop(c, s, slot);
	return true;
}

/* What the list contains has come back; what a fresh one contradicts never will. */
static void settle_notes(struct cache *c, const struct shelf *s, const char *rv)
{
	for (struct map_slot *slot = NULL; (slot = map_next(&c->notes, slot));) {
		struct note *note = slot->value;
		bool here = strtoul(note->key, NULL, 10) == (unsigned long)(s - c->shelves);

		if (here && note->rv &&
		    (rv_compare(note->rv, rv) <= 0 || (s->fresh && note->sync != s->syncs))) {
			replace(&note->rv, NULL);
			note_tidy(c, note);
		}
	}
}

void cache_sync_end(struct cache *c, const struct kube_kind *k, const char *rv)
{
	struct shelf *s = shelf_of(c, k);

	if (!s->syncing) {
		return;
	}
	each_slot(c, s, sweep, rv);
	settle_notes(c, s, rv);
	if (s->fresh || rv_compare(rv, s->position) > 0) {
		replace(&s->position, rv);
	}
	s->syncing = s->fresh = false;
	s->synced = true;
}

bool cache_synced(const struct cache *c, const struct kube_kind *k)
{
	return shelf_of(c, k)->synced;
}

void cache_reached(struct cache *c, const struct kube_kind *k, const char *rv)
{
	struct shelf *s = shelf_of(c, k);

	if (rv_compare(rv, s->position) > 0) {
		replace(&s->position, rv);
	}
}

void cache_set_served(struct cache *c, const struct kube_kind *k, const char *version)
{
	struct shelf *s = shelf_of(c, k);

	if (version) {
		s->synced = s->synced && s->version;
		if (!str_eq(s->version, version)) {
			replace(&s->version, version);
		}
		return;
	}
	replace(&s->version, NULL);
	replace(&s->position, NULL);
	each_slot(c, s, sweep_all, NULL);
	s->syncing = s->fresh = false;
	s->synced = true;
}

const char *cache_version(const struct cache *c, const struct kube_kind *k)
{
	return shelf_of(c, k)->version;
}

/* Reading. */

const void *cache_get(const struct cache *c, const struct kube_kind *k, const char *ns,
		      const char *name)
{
	const struct shelf *s = shelf_of(c, k);
	size_t slot = index_find(&s->names, ns, name);

	return slot == INDEX_NONE ? NULL : s->names.slots[slot];
}

const void *cache_next(const struct cache *c, const struct kube_kind *k, const void *after)
{
	const struct shelf *s = shelf_of(c, k);
	size_t i = after ? index_find_object(&s->names, after) + 1 : 0;

	while (i < s->names.size && !s->names.slots[i]) {
		i++;
	}
	return i < s->names.size ? s->names.slots[i] : NULL;
}

const void *cache_next_owned(const struct cache *c, const struct kube_kind *k,
			     const char *owner_uid, const void *after)
{
	return owner_uid ? index_next_keyed(&shelf_of(c, k)->owners, owner_uid, after) : NULL;
}

const void *cache_next_keyed(const struct cache *c, const struct kube_kind *k, const char *key,
			     const void *after)
{
	return key ? index_next_keyed(&shelf_of(c, k)->keyed, key, after) : NULL;
}

const void *cache_memo(const struct cache *c, const struct kube_kind *k, const struct cache_memo *m)
{
	struct shelf *s = shelf_of(c, k);

	if (!s->made) {
		s->memo = m;
		s->made = m->make(c);
	}
	return s->made;
}

static int by_name(const void *a, const void *b)
{
	const struct obj *x = *(const struct obj *const *)a, *y = *(const struct obj *const *)b;
	int r = strcmp(x->ns ? x->ns : "", y->ns ? y->ns : "");

	return r ? r : strcmp(x->name, y->name);
}

struct obj_list cache_sorted(const struct cache *c, const struct kube_kind *k,
			     const char *owner_uid, struct arena *a)
{
	struct obj_list list = {0};
	size_t room = cache_count(c, k);

	if (owner_uid) {
		room = 0;
		for (const void *o = NULL; (o = cache_next_owned(c, k, owner_uid, o));) {
			room++;
		}
	}
	list.items = arena_array(a, const struct obj *, room);
	for (const void *o = NULL;
	     (o = owner_uid ? cache_next_owned(c, k, owner_uid, o) : cache_next(c, k, o));) {
		list.items[list.n++] = o;
	}
	if (list.n) {
		qsort(list.items, list.n, sizeof(*list.items), by_name);
	}
	return list;
}

size_t cache_count(const struct cache *c, const struct kube_kind *k)
{
	return shelf_of(c, k)->names.n;
}

size_t cache_bytes(const struct cache *c)
{
	size_t bytes = sizeof(*c) + c->bytes + intern_bytes(c->strings);

	for (const struct shelf *s = c->shelves; s < c->shelves + c->n_shelves; s++) {
		bytes += sizeof(*s) + index_bytes(&s->names) + index_bytes(&s->owners) +
			 index_bytes(&s->keyed);
	}
	return bytes;
}

const struct kube_kind *cache_kind(const struct cache *c, const char *api_version, const char *kind)
{
	for (size_t i = 0; i < c->n_shelves; i++) {
		const struct kube_kind *k = c->shelves[i].kind;

		if (api_version && str_eq(k->kind, kind) && kind_has_api_version(k, api_version)) {
			return k;
		}
	}
	return NULL;
}

/*
 * The largest object is bounded by its reader (SCAN_MAX_ITEM, a file's maximum); decoded it is
 * smaller.
 */
#define LOAD_MAX (64 * MiB)

int cache_load_json(struct cache *c, json_t *object, struct err *err)
{
	const char *api_version = json_string_value(json_object_get(object, "apiVersion"));
	const char *kind = json_string_value(json_object_get(object, "kind"));
	attr_cleanup(arena_finish) struct arena a = {.max = LOAD_MAX};
	const struct kube_kind *k;
	struct shelf *s;
	struct obj *o;

	if (!api_version || !kind) {
		return err_set(err, "an object without apiVersion or kind");
	}
	k = cache_kind(c, api_version, kind);
	if (!k || !k->type) {
		return 1;
	}
	o = arena_alloc(&a, k->type->size);
	if (type_read(k->type, object, false, &a, o, err) < 0) {
		return err_wrap(err, "%s", kind);
	}
	if (nameless(k, o)) {
		return err_set(err, "a %s without metadata.%s", kind,
			       str_empty(o->name) ? "name" : "namespace");
	}
	s = shelf_of(c, k);
	if (!s->version) {
		const char *slash = strchr(api_version, '/');

		s->version = xstrdup(slash ? slash + 1 : api_version);
	}
	put(c, s, o, true);
	return 0;
}
