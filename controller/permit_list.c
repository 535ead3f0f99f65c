/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/permit.h"
#include "json/write.h"

#include <stdlib.h>
#include <string.h>

/* --- what is ours -------------------------------------------------------------------------- */

static const struct permit_pair *read_pairs(struct arena *a, const json_t *array, size_t *ret_n)
{
	struct permit_pair *pairs = arena_array(a, struct permit_pair, json_array_size(array));
	json_t *pair;
	size_t i;

	*ret_n = 0;
	json_array_foreach((json_t *)array, i, pair) {
		const char *selector = json_string_value(json_array_get(pair, 0)),
			   *resource = json_string_value(json_array_get(pair, 1));

		if (selector && resource) {
			pairs[(*ret_n)++] = (struct permit_pair){arena_strdup(a, selector),
								 arena_strdup(a, resource)};
		}
	}
	return pairs;
}

static bool array_has(const json_t *array, const char *text)
{
	json_t *item;
	size_t i;

	json_array_foreach((json_t *)array, i, item) {
		if (str_eq(json_string_value(item), text)) {
			return true;
		}
	}
	return false;
}

/* An annotation that cannot be read counts as none: then everything in the lists is somebody
 * else's, and stays. */
void permit_note_read(struct permit_seen *s)
{
	json_t *note = s->cr->ours ? json_loads(s->cr->ours, 0, NULL) : NULL;
	const json_t *made = json_object_get(note, "made");

	s->made_field = array_has(made, "permittedHostDevices");
	for (int i = 0; i < PERMIT_LISTS; i++) {
		struct permit_list *l = &s->lists[i];

		l->ours = read_pairs(s->pass->arena, json_object_get(note, l->key), &l->n_ours);
		l->made = array_has(made, l->key);
	}
	json_decref(note);
}

static int by_selector(const void *a, const void *b)
{
	const struct permit_pair *x = a, *y = b;
	int c = strcmp(x->selector, y->selector);

	return c ? c : strcmp(x->resource, y->resource);
}

static json_t *write_pairs(struct permit_list *l)
{
	json_t *array = json_array();

	qsort(l->keep, l->n_keep, sizeof(*l->keep), by_selector);
	for (size_t i = 0; i < l->n_keep; i++) {
		json_array_append_new(
			array, json_pack("[s, s]", l->keep[i].selector, l->keep[i].resource));
	}
	return array;
}

const char *permit_note_write(const struct permit_seen *s, bool made_field)
{
	json_t *note = json_object();
	json_t *made = made_field ? json_pack("[s]", "permittedHostDevices") : json_array();
	size_t ours = 0;
	const char *text;
	char *dumped;

	for (int i = 0; i < PERMIT_LISTS; i++) {
		struct permit_list *l = (struct permit_list *)&s->lists[i];

		ours += l->n_keep;
		if (l->n_keep) {
			json_object_set_new(note, l->key, write_pairs(l));
		}
	}
	/* The field, then its lists in the order of the alphabet. */
	for (int i = PERMIT_LISTS - 1; i >= 0; i--) {
		if (s->lists[i].made && s->lists[i].n_keep) {
			json_array_append_new(made, json_string(s->lists[i].key));
		}
	}
	if (json_array_size(made)) {
		json_object_set(note, "made", made);
	}
	dumped = json_text(note, JSON_COMPACT | JSON_SORT_KEYS);
	text = ours ? arena_strdup(s->pass->arena, dumped) : NULL;
	free(dumped);
	json_decref(made);
	json_decref(note);
	return text;
}

/* --- comparing entries --------------------------------------------------------------------- */

static const char *text(const json_t *entry, const char *key)
{
	const char *s = json_string_value(json_object_get(entry, key));

	return s ? s : "";
}

static bool external(const json_t *entry)
{
	return json_is_true(json_object_get(entry, "externalResourceProvider"));
}

static bool is_pair(const struct permit_list *l, const json_t *entry, const struct permit_pair *p)
{
	return external(entry) && str_eq(text(entry, "resourceName"), p->resource) &&
	       cr_same_selector(text(entry, l->selector_key), p->selector);
}

/*
 * Which of our pairs each entry is, NULL for somebody's. A pair is one entry, spelt as we wrote it:
 * KubeVirt also takes the same again, in this or another case of letters, and that is somebody's.
 */
static const struct permit_pair **owners(const struct permit_list *l, struct arena *a)
{
	const struct permit_pair **owner =
		arena_array(a, const struct permit_pair *, json_array_size(l->now));

	for (size_t k = 0; k < l->n_ours; k++) {
		const struct permit_pair *p = &l->ours[k];
		json_t *entry;
		size_t i;

		json_array_foreach(l->now, i, entry) {
			if (!owner[i] && is_pair(l, entry, p) &&
			    str_eq(text(entry, l->selector_key), p->selector)) {
				owner[i] = p;
				break;
			}
		}
	}
	return owner;
}

static bool listed(const struct permit_list *l, const struct permit_pair *p)
{
	json_t *entry;
	size_t i;

	json_array_foreach(l->now, i, entry) {
		if (is_pair(l, entry, p)) {
			return true;
		}
	}
	return false;
}

/* Somebody's entry that KubeVirt's own device plugin would serve: of our name, or of our cards. */
static bool conflicts(struct permit_seen *s, const struct permit_list *l,
		      const struct permit_pair *p)
{
	for (int k = 0; k < PERMIT_LISTS; k++) {
		const struct permit_list *other = &s->lists[k];
		json_t *entry;
		size_t i;

		json_array_foreach(other->now, i, entry) {
			bool name = str_eq(text(entry, "resourceName"), p->resource);
			bool card = other == l &&
				    cr_same_selector(text(entry, l->selector_key), p->selector);

			if (!external(entry) && (name || card)) {
				s->foreign = arena_printf(
					s->pass->arena,
					"%s cannot be added to the KubeVirt CR: its entry {%s: \"%s\", resourceName: %s} has externalResourceProvider false, so "
					"KubeVirt's own device plugin offers these cards; set it to true or remove that entry",
					p->resource, other->selector_key,
					text(entry, other->selector_key),
					text(entry, "resourceName"));
				return true;
			}
		}
	}
	return false;
}

bool permit_lists_name(const struct permit_seen *s, const char *resource)
{
	static const char *const keys[] = {"pciHostDevices", "mediatedDevices", "usb"};

	for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
		json_t *entry;
		size_t i;

		json_array_foreach(json_object_get(s->permitted, keys[k]), i, entry) {
			if (str_eq(text(entry, "resourceName"), resource)) {
				return true;
			}
		}
	}
	return false;
}

/* --- the next list ------------------------------------------------------------------------- */

static void keep_pair(struct permit_list *l, const struct permit_pair *p)
{
	l->keep[l->n_keep++] = *p;
}

/* What was ours and was dropped by others (a Helm upgrade, an edit) comes back while somebody wants
 * it and a GPUNode reports it, even if that node is away just now. */
static size_t missing(struct permit_seen *s, struct permit_list *l, struct permit_pair *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n_wanted; i++) {
		if (!listed(l, &l->wanted[i]) && !conflicts(s, l, &l->wanted[i])) {
			ret[n++] = l->wanted[i];
		}
	}
	return n;
}

void permit_list_next(struct permit_seen *s, struct permit_list *l)
{
	struct arena *a = s->pass->arena;
	struct permit_pair *come = arena_array(a, struct permit_pair, l->n_wanted);
	const struct permit_pair **owner = owners(l, a);
	size_t n_come = missing(s, l, come), i;
	json_t *next = json_array(), *entry;
	bool changed = n_come > 0;

	l->n_come = n_come;
	l->keep = arena_array(a, struct permit_pair, l->n_ours + n_come);
	json_array_foreach(l->now, i, entry) {
		const struct permit_pair *mine = owner[i];

		if (mine && !permit_wanted(s, mine->resource)) {
			if (!s->unread) {
				changed = true;
				continue;
			}
			s->kept = true;
		}
		if (mine) {
			keep_pair(l, mine);
		}
		json_array_append(next, entry);
	}
	for (i = 0; i < n_come; i++) {
		keep_pair(l, &come[i]);
		json_array_append_new(next,
				      json_pack("{s:s, s:s, s:b}", l->selector_key,
						come[i].selector, "resourceName", come[i].resource,
						"externalResourceProvider", 1));
	}
	if (n_come && !l->now) {
		l->made = true;
	}
	l->drop = changed && !json_array_size(next) && l->made;
	if (changed) {
		l->next = next;
	} else {
		json_decref(next);
	}
}
