/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk below is structured-merge-diff's: typed/tofieldset.go decides which paths a body owns,
 * fieldpath/serialize.go how they are written: "f:name" for a field, "k:{...}" and "v:..." for
 * items of lists, "." for a container that is owned besides its parts, everything sorted. What the
 * API server then strips (managedfields/internal/stripmeta.go) is left out here as well.
 */
#include "kube/intent.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS_MAX (8 * MiB)

/* A walk through a body, knowing where it is. */

struct walk {
	struct {
		const struct intent_rule *rule;
		size_t len; /* of its path */
	} rules[64];	    /* of this kind and version */
	size_t n_rules;
	struct buf path;
	struct buf *out;
	bool shared;
};

static bool rule_is_for(const struct intent_rule *r, const char *kind, const char *version)
{
	size_t n = r->kind ? strcspn(r->kind, "/") : 0;

	if (!r->kind) {
		return true;
	}
	return strlen(kind) == n && memcmp(r->kind, kind, n) == 0 &&
	       (!r->kind[n] || str_eq(r->kind + n + 1, version));
}

static void find_rules(struct walk *w, const struct kube_kind *k, const json_t *body)
{
	const char *version = json_string_value(json_object_get(body, "apiVersion"));
	const char *slash = version ? strchr(version, '/') : NULL;

	for (const struct intent_rule *r = intent_rules; r->path; r++) {
		if (rule_is_for(r, k->kind, slash ? slash + 1 : version) &&
		    w->n_rules < ARRAY_LEN(w->rules)) {
			w->rules[w->n_rules].rule = r;
			w->rules[w->n_rules++].len = strlen(r->path);
		}
	}
}

static void cut_path(struct walk *w, size_t len)
{
	w->path.len = len;
	if (w->path.bytes) {
		w->path.bytes[len] = '\0';
	}
}

/* Down to a field; returns what cut_path takes to come back. */
static size_t enter(struct walk *w, const char *key)
{
	size_t path = w->path.len;

	if (path) {
		buf_char(&w->path, '.');
	}
	buf_str(&w->path, key);
	return path;
}

static const struct intent_rule *rule_here(const struct walk *w)
{
	for (size_t i = 0; i < w->n_rules; i++) {
		if (w->rules[i].len == w->path.len &&
		    memcmp(w->rules[i].rule->path, w->path.bytes, w->path.len) == 0) {
			return w->rules[i].rule;
		}
	}
	return NULL;
}

static const struct intent_rule *rule_of(struct walk *w, const char *key)
{
	size_t path = enter(w, key);
	const struct intent_rule *rule = rule_here(w);

	cut_path(w, path);
	return rule;
}

static void walk_init(struct walk *w, const struct kube_kind *k, const json_t *body,
		      struct buf *out)
{
	*w = (struct walk){.out = out};
	buf_init(&w->path, 64 * KiB);
	find_rules(w, k, body);
}

static void walk_finish(struct walk *w)
{
	buf_finish(&w->path);
}

/* Hashing of a body, whatever the order of its keys. */

static uint64_t mix(uint64_t h)
{
	h ^= h >> 32;
	h *= UINT64_C(0xd6e8feb86659fd93);
	h ^= h >> 32;
	return h * UINT64_C(0xd6e8feb86659fd93) ^ h >> 29;
}

static bool hashed(struct walk *w, const char *key)
{
	const struct intent_rule *rule;

	if (str_eq(key, INTENT_ANNOTATION)) {
		return !str_eq(buf_text(&w->path), "metadata.annotations");
	}
	if (str_eq(key, "resourceVersion")) {
		return !str_eq(buf_text(&w->path), "metadata");
	}
	rule = rule_of(w, key);
	return !rule || rule->what != INTENT_SHARED;
}

static uint64_t hash_value(struct walk *w, const json_t *v);

static uint64_t hash_object(struct walk *w, const json_t *v)
{
	uint64_t sum = 0;
	const char *key;
	json_t *one;

	json_object_foreach((json_t *)v, key, one) {
		if (hashed(w, key)) {
			size_t path = enter(w, key);

			sum += mix(hash_str(HASH_SEED, key) ^ mix(hash_value(w, one)));
			cut_path(w, path);
		}
	}
	return sum;
}

static uint64_t hash_value(struct walk *w, const json_t *v)
{
	uint64_t h = hash_bytes(HASH_SEED, &(char){(char)('0' + json_typeof(v))}, 1);
	char number[40];
	size_t i;
	json_t *one;

	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return mix(h ^ hash_object(w, v));
	case JSON_ARRAY:
		json_array_foreach(v, i, one) {
			h = mix(h ^ hash_value(w, one)) + i;
		}
		return h;
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
	uint64_t hash;

	walk_init(&w, k, body, NULL);
	hash = mix(hash_value(&w, body));
	walk_finish(&w);
	return hash;
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

static void walk_object(struct walk *w, const json_t *v, enum intent_rule_what what, bool *first);

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
	auto_free char *plain = json_dumps(key, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
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
static void walk_items(struct walk *w, const json_t *list, const struct intent_rule *rule,
		       bool *first)
{
	size_t n = json_array_size(list), path = w->path.len;
	struct item *items = xcalloc(n, sizeof(*items));

	for (size_t i = 0; i < n; i++) {
		json_t *v = json_array_get(list, i);

		items[i].value = v;
		items[i].key = rule->what == INTENT_KEYED ? item_key(v, rule->keys) : key_text(v);
	}
	qsort(items, n, sizeof(*items), by_key);
	buf_str(&w->path, "[]");
	for (size_t i = 0; i < n; i++) {
		const struct intent_rule *inner = rule_here(w);
		bool none = true;

		element(w, first, rule->what == INTENT_KEYED ? 'k' : 'v', items[i].key);
		buf_char(w->out, '{');
		if (json_object_size(items[i].value) && !(inner && inner->what == INTENT_ATOMIC)) {
			buf_str(w->out, "\".\":{}");
			none = false;
			walk_object(w, items[i].value, inner ? inner->what : INTENT_PLAIN, &none);
		}
		buf_char(w->out, '}');
		free(items[i].key);
	}
	cut_path(w, path);
	free(items);
}

/*
 * Never part of managedFields: identity, what only the server writes, and status (another
 * resource).
 */
static bool stripped(const struct walk *w, const char *key)
{
	static const char *const top[] = {"apiVersion", "kind", "status"};
	static const char *const metadata[] = {
		"name",	      "namespace",     "creationTimestamp", "selfLink",	       "uid",
		"generation", "managedFields", "clusterName",	    "resourceVersion",
	};
	bool root = !w->path.len, meta = str_eq(buf_text(&w->path), "metadata");
	const char *const *list = root ? top : metadata;

	for (size_t i = 0; (root || meta) && i < (root ? ARRAY_LEN(top) : ARRAY_LEN(metadata));
	     i++) {
		if (str_eq(list[i], key)) {
			return true;
		}
	}
	return false;
}

/* A field with something inside it. self: the container itself is owned too. */
static void walk_container(struct walk *w, const char *key, const json_t *v,
			   const struct intent_rule *rule, enum intent_rule_what what, bool self,
			   bool *first)
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
		walk_items(w, v, rule, &none);
	} else {
		walk_object(w, v, what, &none);
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

static void walk_field(struct walk *w, const char *key, const json_t *v,
		       enum intent_rule_what parent, bool *first)
{
	size_t path = enter(w, key);
	const struct intent_rule *rule = rule_here(w);
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
		walk_container(w, key, v, rule, what,
			       parent == INTENT_OPEN || parent == INTENT_ENTRIES, first);
	}
	cut_path(w, path);
}

struct member {
	const char *key;
	json_t *value;
};

static int by_text(const void *a, const void *b)
{
	return strcmp(((const struct member *)a)->key, ((const struct member *)b)->key);
}

static void walk_object(struct walk *w, const json_t *v, enum intent_rule_what what, bool *first)
{
	struct member *members = xcalloc(json_object_size(v), sizeof(*members));
	const char *key;
	size_t n = 0;
	json_t *one;

	json_object_foreach((json_t *)v, key, one) {
		members[n++] = (struct member){key, one};
	}
	qsort(members, n, sizeof(*members), by_text);
	for (size_t i = 0; i < n; i++) {
		if (!stripped(w, members[i].key)) {
			walk_field(w, members[i].key, members[i].value, what, first);
		}
	}
	free(members);
}

void intent_fields(const struct kube_kind *k, const json_t *body, bool shared, struct buf *out)
{
	struct walk w;
	bool first = true;

	walk_init(&w, k, body, out);
	w.shared = shared;
	buf_char(out, '{');
	walk_object(&w, body, INTENT_PLAIN, &first);
	buf_char(out, '}');
	walk_finish(&w);
}

uint64_t intent_owned(const struct kube_kind *k, const json_t *body, bool shared)
{
	auto_buf struct buf text = {.max = FIELDS_MAX};

	intent_fields(k, body, shared, &text);
	return type_hash(buf_text(&text), text.len);
}

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
