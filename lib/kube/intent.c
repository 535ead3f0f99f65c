/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk below is structured-merge-diff's: typed/tofieldset.go decides which paths a body owns,
 * fieldpath/serialize.go how they are written: "f:name" for a field, "k:{...}" and "v:..." for
 * items of lists, "." for a container that is owned besides its parts, everything sorted. What the
 * API server then strips (managedfields/internal/stripmeta.go) is left out here as well.
 */
#include "json/write.h"
#include "kube/intent.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS_MAX (8 * MiB)

/*
 * A walk through a body. Where it is says which rules may still be met below: those whose path
 * begins with the path so far. Mostly that is none, and then nothing is compared any more.
 */

#define RULES_MAX 64

struct walk {
	const struct intent_rule *rules[RULES_MAX]; /* of this kind and version */
	size_t n_rules;
	struct buf *out;
	bool shared;
};

enum spot { SPOT_ROOT, SPOT_METADATA, SPOT_ANNOTATIONS, SPOT_OTHER };

struct place {
	uint64_t live; /* a bit for each rule that begins with the path */
	size_t len;    /* of the path's text */
	enum spot spot;
};

static bool rule_is_for(const struct intent_rule *r, const char *kind, const char *version)
{
	size_t n = r->kind ? strcspn(r->kind, "/") : 0;

	if (!r->kind) {
		return true;
	}
	return strncmp(r->kind, kind, n) == 0 && !kind[n] &&
	       (!r->kind[n] || str_eq(r->kind + n + 1, version));
}

/* Returns where the walk begins. */
static struct place walk_init(struct walk *w, const struct kube_kind *k, const json_t *body,
			      struct buf *out)
{
	const char *version = json_string_value(json_object_get(body, "apiVersion"));
	const char *slash = version ? strchr(version, '/') : NULL;

	w->n_rules = 0;
	w->out = out;
	w->shared = false;
	for (const struct intent_rule *r = intent_rules; r->path; r++) {
		if (rule_is_for(r, k->kind, slash ? slash + 1 : version) &&
		    w->n_rules < RULES_MAX) {
			w->rules[w->n_rules++] = r;
		}
	}
	return (struct place){.live = w->n_rules == RULES_MAX ? UINT64_MAX
							      : (UINT64_C(1) << w->n_rules) - 1};
}

#define each_live(w, mask, rule)                                                                   \
	for (uint64_t left_ = (mask), bit_; (bit_ = left_ & -left_) != 0; left_ &= ~bit_)          \
		for (const struct intent_rule *rule = (w)->rules[__builtin_ctzll(bit_)]; rule;     \
		     rule = NULL)

/* Does the rest of a rule's path go on with this step: a field's name, or "[]" for an item? */
static bool goes_on(const char *rest, bool root, const char *step, size_t n)
{
	bool item = *step == '[';

	if (!root && !item) {
		if (*rest++ != '.') {
			return false;
		}
	}
	return strncmp(rest, step, n) == 0 && (!rest[n] || rest[n] == '.' || rest[n] == '[');
}

static enum spot spot_of(enum spot parent, const char *step)
{
	if (parent == SPOT_ROOT && str_eq(step, "metadata")) {
		return SPOT_METADATA;
	}
	return parent == SPOT_METADATA && str_eq(step, "annotations") ? SPOT_ANNOTATIONS
								      : SPOT_OTHER;
}

/* One step down. */
static struct place enter(const struct walk *w, const struct place *at, const char *step)
{
	struct place down = {.spot = spot_of(at->spot, step)};
	size_t n;

	if (!at->live) {
		return down;
	}
	n = strlen(step);
	down.len = at->len + (at->len && *step != '[') + n;
	each_live(w, at->live, rule) {
		if (goes_on(rule->path + at->len, !at->len, step, n)) {
			down.live |= bit_;
		}
	}
	return down;
}

static const struct intent_rule *rule_here(const struct walk *w, const struct place *at)
{
	each_live(w, at->live, rule) {
		if (!rule->path[at->len]) {
			return rule;
		}
	}
	return NULL;
}

/* Hashing of a body, whatever the order of its keys. */

static uint64_t mix(uint64_t h)
{
	h ^= h >> 32;
	h *= UINT64_C(0xd6e8feb86659fd93);
	h ^= h >> 32;
	return h * UINT64_C(0xd6e8feb86659fd93) ^ h >> 29;
}

/* Left out of the hash: what would make it change though the wish is the same. */
static bool hashed(const struct walk *w, const struct place *parent, const struct place *at,
		   const char *key)
{
	const struct intent_rule *rule = rule_here(w, at);

	if (rule && rule->what == INTENT_SHARED) {
		return false;
	}
	return !(parent->spot == SPOT_ANNOTATIONS && str_eq(key, INTENT_ANNOTATION)) &&
	       !(parent->spot == SPOT_METADATA && str_eq(key, "resourceVersion"));
}

static uint64_t hash_value(const struct walk *w, const struct place *at, const json_t *v);

static uint64_t hash_object(const struct walk *w, const struct place *at, const json_t *v)
{
	uint64_t sum = 0;
	const char *key;
	json_t *one;

	json_object_foreach((json_t *)v, key, one) {
		struct place down = enter(w, at, key);

		if (hashed(w, at, &down, key)) {
			sum += mix(hash_str(HASH_SEED, key) ^ mix(hash_value(w, &down, one)));
		}
	}
	return sum;
}

static uint64_t hash_array(const struct walk *w, const struct place *at, const json_t *v,
			   uint64_t h)
{
	size_t i;
	json_t *one;

	json_array_foreach(v, i, one) {
		h = mix(h ^ hash_value(w, at, one)) + i;
	}
	return h;
}

static uint64_t hash_value(const struct walk *w, const struct place *at, const json_t *v)
{
	uint64_t h = hash_bytes(HASH_SEED, &(char){(char)('0' + json_typeof(v))}, 1);
	char number[40];

	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return mix(h ^ hash_object(w, at, v));
	case JSON_ARRAY:
		return hash_array(w, at, v, h);
	case JSON_STRING:
		return hash_bytes(h, json_string_value(v), json_string_length(v));
	case JSON_INTEGER:
		snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		return hash_str(h, number);
	case JSON_REAL:
		snprintf(number, sizeof(number), "%.17g", json_real_value(v));
		return hash_str(h, number);
	default:
		return h;
	}
}

uint64_t intent_hash(const struct kube_kind *k, const json_t *body)
{
	struct walk w;
	struct place root = walk_init(&w, k, body, NULL);

	return mix(hash_value(&w, &root, body));
}

/* The fields that a body owns. */

/* One owned path element: a key of fieldsV1, its separator first where needed. */
static void element(struct walk *w, bool *first, char type, const char *text)
{
	size_t start;

	buf_str(w->out, *first ? "\"" : ",\"");
	buf_char(w->out, type);
	*first = false;
	/* The text as a JSON string, its opening quote turned into the separator. */
	start = w->out->len;
	buf_json_str(w->out, text);
	buf_char(w->out, ':');
	if (buf_ok(w->out)) {
		w->out->bytes[start] = ':';
	}
}

static void walk_object(struct walk *w, const struct place *at, const json_t *v,
			enum intent_rule_what what, bool *first);

/* "port=..." of the rule's keys: is it this one, and what is its default? */
static json_t *key_value(const json_t *item, const char *key, size_t n)
{
	size_t name = strcspn(key, "= "), len = MIN(name, n);
	auto_free char *text = xstrndup(key, len);
	json_t *v = json_object_get(item, text);

	if (v) {
		return json_incref(v);
	}
	return len < n ? json_stringn(key + len + 1, n - len - 1) : NULL;
}

/* JSON text of a key, as Go writes it: with <, > and & escaped. */
static char *key_text(const json_t *key)
{
	auto_free char *plain = json_text(key, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
	auto_buf struct buf b = {.max = FIELDS_MAX};

	for (const char *p = plain; p && *p; p++) {
		if (strchr("<>&", *p)) {
			buf_printf(&b, "\\u%04x", *p);
		} else {
			buf_char(&b, *p);
		}
	}
	return xstrdup(buf_text(&b));
}

/* {"port":80,"protocol":"TCP"}: what tells this item from the others. */
static char *item_key(const json_t *item, const char *keys)
{
	json_t *key = json_object();
	char *text;

	for (const char *k = keys; *k; k += strspn(k, " ")) {
		size_t n = strcspn(k, " "), name = MIN(strcspn(k, "="), n);

		json_object_setn_new(key, k, name, key_value(item, k, n));
		k += n;
	}
	text = key_text(key);
	json_decref(key);
	return text;
}

struct item {
	char *key;
	json_t *value;
};

/* By the keys' values as structured-merge-diff compares them: numbers as numbers. */
static int compare_values(const json_t *a, const json_t *b)
{
	if (json_is_integer(a) && json_is_integer(b)) {
		json_int_t x = json_integer_value(a), y = json_integer_value(b);

		return (x > y) - (x < y);
	}
	if (json_is_string(a) && json_is_string(b)) {
		return strcmp(json_string_value(a), json_string_value(b));
	}
	return (int)json_typeof(b) - (int)json_typeof(a);
}

/* A list of fields as structured-merge-diff compares it: names before values, the shorter first. */
static int compare_fields(json_t *a, json_t *b)
{
	void *i = json_object_iter(a), *k = json_object_iter(b);

	for (; i && k; i = json_object_iter_next(a, i), k = json_object_iter_next(b, k)) {
		int r = strcmp(json_object_iter_key(i), json_object_iter_key(k));

		r = r ? r : compare_values(json_object_iter_value(i), json_object_iter_value(k));
		if (r) {
			return r;
		}
	}
	return (i != NULL) - (k != NULL);
}

static int by_key(const void *a, const void *b)
{
	json_t *x = json_loads(((const struct item *)a)->key, JSON_DECODE_ANY, NULL);
	json_t *y = json_loads(((const struct item *)b)->key, JSON_DECODE_ANY, NULL);
	int r = json_is_object(x) && json_is_object(y) ? compare_fields(x, y)
						       : compare_values(x, y);

	json_decref(x);
	json_decref(y);
	return r;
}

/* Items of a keyed list or a set, each owned by itself. */
static void walk_items(struct walk *w, const struct place *at, const json_t *list,
		       const struct intent_rule *rule, bool *first)
{
	size_t n = json_array_size(list);
	struct item *items = xcalloc(n, sizeof(*items));
	struct place inside = enter(w, at, "[]");
	const struct intent_rule *inner = rule_here(w, &inside);

	for (size_t i = 0; i < n; i++) {
		json_t *v = json_array_get(list, i);

		items[i].value = v;
		items[i].key = rule->what == INTENT_KEYED ? item_key(v, rule->keys) : key_text(v);
	}
	if (n > 1) {
		qsort(items, n, sizeof(*items), by_key);
	}
	for (size_t i = 0; i < n; i++) {
		bool none = true;

		element(w, first, rule->what == INTENT_KEYED ? 'k' : 'v', items[i].key);
		buf_char(w->out, '{');
		if (json_object_size(items[i].value) && !(inner && inner->what == INTENT_ATOMIC)) {
			buf_str(w->out, "\".\":{}");
			none = false;
			walk_object(w, &inside, items[i].value, inner ? inner->what : INTENT_PLAIN,
				    &none);
		}
		buf_char(w->out, '}');
		free(items[i].key);
	}
	free(items);
}

/*
 * Never part of managedFields: identity, what only the server writes, and status (another
 * resource).
 */
static bool stripped(enum spot spot, const char *key)
{
	static const char *const top[] = {"apiVersion", "kind", "status", NULL};
	static const char *const metadata[] = {
		"name",	      "namespace",     "creationTimestamp", "selfLink",	       "uid",
		"generation", "managedFields", "clusterName",	    "resourceVersion", NULL,
	};
	const char *const *list = spot == SPOT_ROOT ? top : metadata;

	if (spot != SPOT_ROOT && spot != SPOT_METADATA) {
		return false;
	}
	while (*list && !str_eq(*list, key)) {
		list++;
	}
	return *list != NULL;
}

/* A field with something inside it. self: the container itself is owned too. */
static void walk_container(struct walk *w, const struct place *at, const char *key, const json_t *v,
			   enum intent_rule_what what, bool self, bool *first)
{
	size_t start = w->out->len, inside;
	bool was_first = *first, none = true;

	element(w, first, 'f', key);
	buf_char(w->out, '{');
	if (self) {
		buf_str(w->out, "\".\":{}");
		none = false;
	}
	inside = w->out->len;
	if (json_is_array(v)) {
		walk_items(w, at, v, rule_here(w, at), &none);
	} else {
		walk_object(w, at, v, what, &none);
	}
	if (w->out->len == inside && self) {
		w->out->len -= strlen("\".\":{}"); /* a bare leaf */
	} else if (w->out->len == inside) {
		w->out->len = start; /* nothing in it is owned */
		*first = was_first;
		return;
	}
	buf_char(w->out, '}');
}

static void walk_field(struct walk *w, const struct place *at, const char *key, const json_t *v,
		       enum intent_rule_what parent, bool *first)
{
	const struct intent_rule *rule = rule_here(w, at);
	enum intent_rule_what what = rule ? rule->what : INTENT_PLAIN;
	bool keyed = json_is_array(v) && (what == INTENT_KEYED || what == INTENT_SET), leaf;

	if (parent == INTENT_OPEN) {
		what = INTENT_OPEN;
	}
	leaf = json_is_array(v) ? !keyed : !json_object_size(v) || what == INTENT_ATOMIC;
	if (what == INTENT_SHARED && !w->shared) {
		/* nobody's */
	} else if (leaf) {
		element(w, first, 'f', key);
		buf_str(w->out, "{}");
	} else {
		walk_container(w, at, key, v, what,
			       parent == INTENT_OPEN || parent == INTENT_ENTRIES, first);
	}
}

struct member {
	const char *key;
	json_t *value;
};

static int by_text(const void *a, const void *b)
{
	return strcmp(((const struct member *)a)->key, ((const struct member *)b)->key);
}

static void walk_object(struct walk *w, const struct place *at, const json_t *v,
			enum intent_rule_what what, bool *first)
{
	struct member few[16];
	struct member *members = json_object_size(v) > ARRAY_LEN(few)
					 ? xcalloc(json_object_size(v), sizeof(*members))
					 : few;
	const char *key;
	size_t n = 0;
	json_t *one;

	json_object_foreach((json_t *)v, key, one) {
		if (!stripped(at->spot, key)) {
			members[n++] = (struct member){key, one};
		}
	}
	if (n > 1) {
		qsort(members, n, sizeof(*members), by_text);
	}
	for (size_t i = 0; i < n; i++) {
		struct place down = enter(w, at, members[i].key);

		walk_field(w, &down, members[i].key, members[i].value, what, first);
	}
	if (members != few) {
		free(members);
	}
}

void intent_fields(const struct kube_kind *k, const json_t *body, bool shared, struct buf *out)
{
	struct walk w;
	struct place root = walk_init(&w, k, body, out);
	bool first = true;

	w.shared = shared;
	buf_char(out, '{');
	walk_object(&w, &root, body, INTENT_PLAIN, &first);
	buf_char(out, '}');
}

uint64_t intent_owned(const struct kube_kind *k, const json_t *body, bool shared)
{
	auto_buf struct buf text = {.max = FIELDS_MAX};

	intent_fields(k, body, shared, &text);
	return type_hash(buf_text(&text), text.len);
}

/* Is it what this body leads to, whoever owns the shared fields? */
static bool guessed(const struct kube_kind *k, const json_t *body, uint64_t owned)
{
	return owned &&
	       (owned == intent_owned(k, body, true) || owned == intent_owned(k, body, false));
}

/* Whole answers. */

static void hash_text(uint64_t hash, char text[17])
{
	snprintf(text, 17, "%016" PRIx64, hash);
}

void intent_stamp(const struct kube_kind *k, json_t *body)
{
	json_t *meta = json_object_get(body, "metadata"), *annotations;
	char text[17];

	if (!meta) {
		json_object_set_new(body, "metadata", meta = json_object());
	}
	/* Present before hashing, so that stamping twice gives the same. */
	annotations = json_object_get(meta, "annotations");
	if (!annotations) {
		json_object_set_new(meta, "annotations", annotations = json_object());
	}
	hash_text(intent_hash(k, body), text);
	json_object_set_new(annotations, INTENT_ANNOTATION, json_string(text));
}

static json_t *metadata(const json_t *body)
{
	return json_object_get(body, "metadata");
}

static const char *stamp_of(const json_t *body)
{
	return json_string_value(
		json_object_get(json_object_get(metadata(body), "annotations"), INTENT_ANNOTATION));
}

static const char *name_of(const json_t *body, const char **ret_ns)
{
	*ret_ns = json_string_value(json_object_get(metadata(body), "namespace"));
	return json_string_value(json_object_get(metadata(body), "name"));
}

bool intent_shown(const struct cache *c, const struct kube_kind *k, const struct obj *have,
		  const json_t *body)
{
	const char *stamp = stamp_of(body), *ns, *name = name_of(body, &ns);
	uint64_t learned = name ? cache_learned_owned(c, k, ns, name) : 0;

	if (!stamp) {
		return false;
	}
	if (!k->type) {
		return learned && learned == strtoull(stamp, NULL, 16);
	}
	if (!have || !str_eq(have->intent, stamp)) {
		return false;
	}
	return (learned && have->owned == learned) || guessed(k, body, have->owned);
}

void intent_answered(struct cache *c, const struct kube_kind *k, const json_t *body,
		     const struct obj *answer)
{
	const char *stamp = stamp_of(body), *ns, *name = name_of(body, &ns);

	if (!stamp || !name) {
		return;
	}
	if (!k->type) {
		cache_learn_owned(c, k, ns, name, strtoull(stamp, NULL, 16));
	} else if (answer && str_eq(answer->intent, stamp)) {
		bool known = guessed(k, body, answer->owned);

		cache_learn_owned(c, k, ns, name, known ? 0 : answer->owned);
	}
}
