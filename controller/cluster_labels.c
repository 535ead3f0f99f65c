/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Labels of the nodes of a group: the text that the kubelet and the autoscaler get, and what no
 * kubelet takes. One that gets such a label does not start, and nothing in this cluster says why.
 */
#include "controller/cluster.h"

#include <stdlib.h>
#include <string.h>

#include "api/gpu_names.h"
#include "base/buf.h"

/* k8s.io/apimachinery/pkg/util/validation: IsQualifiedName, IsValidLabelValue. */
#define MAX_LABEL 63
#define MAX_PREFIX 253
#define MAX_KEY (MAX_PREFIX + 1 + MAX_LABEL)

/* --- what can be a label ---------------------------------------------------------------------- */

static bool label_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '-';
}

static bool alphanumeric(char c)
{
	return label_char(c) && c != '.' && c != '_' && c != '-';
}

/* A label's value, or its key behind the prefix. */
static bool is_name(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!label_char(s[i])) {
			return false;
		}
	}
	return n && n <= MAX_LABEL && alphanumeric(s[0]) && alphanumeric(s[n - 1]);
}

/* A DNS name in lower case: neither - nor . stands beside a . or at an end. */
static bool is_prefix(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char before = i ? s[i - 1] : '.', after = i < n - 1 ? s[i + 1] : '.';
		bool lower = alphanumeric(s[i]) && !(s[i] >= 'A' && s[i] <= 'Z');
		bool between = (s[i] == '-' || s[i] == '.') && before != '.' && after != '.';

		if (!lower && !between) {
			return false;
		}
	}
	return n && n <= MAX_PREFIX;
}

static bool is_key(const char *key)
{
	const char *slash = strchr(key, '/'), *name = slash ? slash + 1 : key;

	return is_name(name, strlen(name)) && (!slash || is_prefix(key, (size_t)(slash - key)));
}

static bool is_value(const char *value)
{
	return !*value || is_name(value, strlen(value));
}

/* The prefix of the key is this domain or below it. */
static bool is_below(const char *key, const char *domain)
{
	size_t n = strcspn(key, "/"), d = strlen(domain);

	return key[n] == '/' && n >= d && strncmp(key + n - d, domain, d) == 0 &&
	       (n == d || key[n - d - 1] == '.');
}

/*
 * Kubernetes' own labels, but for those that a kubelet may give its node (ValidateKubeletFlags;
 * k8s.io/kubelet/pkg/apis/well_known_labels.go).
 */
static bool is_reserved(const char *key)
{
	static const char *const domains[] = {"node.kubernetes.io", "kubelet.kubernetes.io"};
	static const char *const keys[] = {
		"kubernetes.io/hostname",
		"kubernetes.io/os",
		"kubernetes.io/arch",
		"topology.kubernetes.io/zone",
		"topology.kubernetes.io/region",
		"failure-domain.beta.kubernetes.io/zone",
		"failure-domain.beta.kubernetes.io/region",
		"beta.kubernetes.io/instance-type",
		"beta.kubernetes.io/os",
		"beta.kubernetes.io/arch",
	};

	for (size_t i = 0; i < ARRAY_LEN(domains); i++) {
		if (is_below(key, domains[i])) {
			return false;
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (str_eq(key, keys[i])) {
			return false;
		}
	}
	return is_below(key, "kubernetes.io") || is_below(key, "k8s.io");
}

static const char *value_of(const struct pair *label)
{
	return label->value ? label->value : "";
}

/* What is wrong with it and what to do, or NULL. */
static const char *wrong(const struct pair *label)
{
	if (!is_key(label->key)) {
		return "cannot be the key of a label: write name or prefix/name, the name with "
		       "letters, digits, -, _ and . and 63 characters at most, the prefix a DNS "
		       "name";
	}
	if (is_reserved(label->key)) {
		return "is a label of Kubernetes that a kubelet must not give its node, and does "
		       "not start with: choose another prefix; a role goes into roles";
	}
	if (!is_value(value_of(label))) {
		return "has a value that a label cannot have: write letters, digits, -, _ and ., "
		       "63 characters at most, the first and the last a letter or digit";
	}
	return NULL;
}

static struct verdict check_labels(const struct cluster_seen *s, const struct cluster_group *g)
{
	list_each(label, &g->spec->labels) {
		const char *why = wrong(label);
		bool named = strlen(label->key) <= MAX_KEY;

		if (why) {
			return verdict_no(
				"InvalidLabel",
				arena_printf(s->pass->arena, "nodeGroups.%s.labels: %s %s", g->key,
					     named ? label->key : "a key that is too long", why));
		}
	}
	return verdict_none();
}

/* Behind node-role.kubernetes.io/ of machines, VMs and their templates: one that is none makes the
 * API server refuse the machines, where nobody looks. */
static struct verdict check_roles(const struct cluster_seen *s, const struct cluster_group *g)
{
	for (size_t i = 0; i < g->spec->roles.n; i++) {
		const char *role = g->spec->roles.items[i];

		if (!is_name(role, strlen(role))) {
			return verdict_no(
				"InvalidLabel",
				arena_printf(s->pass->arena,
					     "nodeGroups.%s.roles[%zu] cannot be a role: write "
					     "letters, digits, -, _ and ., 63 characters at most, "
					     "the first and the last a letter or digit",
					     g->key, i));
		}
	}
	return verdict_none();
}

struct verdict cluster_labels_check(const struct cluster_seen *s)
{
	struct verdict v = verdict_none();

	for (size_t i = 0; i < s->n_groups && !v.status; i++) {
		v = check_labels(s, &s->groups[i]);
		v = v.status ? v : check_roles(s, &s->groups[i]);
	}
	return v;
}

/* --- the text --------------------------------------------------------------------------------- */

/* Runs of what a label value cannot have become one -; it begins and ends with a letter or digit.
 */
static const char *label_value(struct arena *a, const char *words)
{
	char *out = arena_strdup(a, words);
	size_t n = 0;

	for (const char *p = words; *p; p++) {
		if (label_char(*p)) {
			out[n++] = *p;
		} else if (n && out[n - 1] != '-') {
			out[n++] = '-';
		}
	}
	n = MIN(n, (size_t)MAX_LABEL);
	while (n && !alphanumeric(out[n - 1])) {
		n--;
	}
	out[n] = '\0';
	while (*out && !alphanumeric(*out)) {
		out++;
	}
	return out;
}

/*
 * The table before what nodes say, and a vGPU's type from its name alone: a label that went with
 * the node that reports the card would change the group.
 */
static const char *model(const struct cluster_seen *s, const struct device *d)
{
	const char *slash = strchr(d->device, '/');
	char *type = arena_strdup(s->pass->arena, slash ? slash + 1 : d->device);
	struct gpu_name known;
	uint32_t id;

	if (d->vgpu) {
		for (char *p = type; *p; p++) {
			*p = *p == '_' ? ' ' : *p;
		}
		return type;
	}
	if (gpu_names_ids(d->device, &id, 1) &&
	    gpu_names_by_id((uint16_t)(id >> 16), (uint16_t)id, 0, &known)) {
		return known.model;
	}
	return inventory_human(&s->inventory, d->device);
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct pair *)a)->key, ((const struct pair *)b)->key);
}

static bool user_sets(const struct node_group *spec, const char *key)
{
	list_each(p, &spec->labels) {
		if (str_eq(p->key, key)) {
			return true;
		}
	}
	return false;
}

static void add(struct buf *text, const char *key, const char *value)
{
	buf_printf(text, "%s%s=%s", text->len ? "," : "", key, value);
}

/* Ours first, unless the user says otherwise, then the user's by name. */
const char *cluster_labels(const struct cluster_seen *s, const struct cluster_group *g)
{
	struct arena *a = s->pass->arena;
	size_t n = g->spec->labels.n;
	struct pair *users = arena_array(a, struct pair, n);
	auto_buf struct buf text = {.max = 16 * MiB}; /* more than an object can have */

	if (g->devices.n && !user_sets(g->spec, "gpu")) {
		add(&text, "gpu", "on");
	}
	if (g->devices.n && !user_sets(g->spec, "gpu-type")) {
		add(&text, "gpu-type", label_value(a, model(s, &g->devices.items[0])));
	}
	if (n) {
		memcpy(users, g->spec->labels.items, n * sizeof(*users));
		qsort(users, n, sizeof(*users), by_key);
	}
	for (size_t i = 0; i < n; i++) {
		add(&text, users[i].key, value_of(&users[i]));
	}
	return arena_strdup(a, buf_text(&text));
}
