/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/kind.h"

#include <ctype.h>
#include <string.h>

void kind_api_version(const struct kube_kind *k, const char *version, struct buf *out)
{
	if (*k->group) {
		buf_printf(out, "%s/", k->group);
	}
	if (version) {
		buf_str(out, version);
	} else {
		buf_add(out, k->versions, strcspn(k->versions, " "));
	}
}

bool kind_has_api_version(const struct kube_kind *k, const char *api_version)
{
	const char *version = api_version;
	size_t n = strlen(k->group);

	if (n) {
		if (strncmp(api_version, k->group, n) != 0 || api_version[n] != '/') {
			return false;
		}
		version += n + 1;
	}
	n = strlen(version);
	for (const char *v = k->versions; n && *v; v += strspn(v, " ")) {
		size_t len = strcspn(v, " ");

		if (len == n && memcmp(v, version, n) == 0) {
			return true;
		}
		v += len;
	}
	return false;
}

void kind_path(const struct kube_kind *k, const char *version, const char *ns, const char *name,
	       const char *subresource, struct buf *out)
{
	buf_str(out, *k->group ? "/apis/" : "/api/");
	kind_api_version(k, version, out);
	if (ns && k->namespaced) {
		buf_str(out, "/namespaces/");
		kind_escape(out, ns);
	}
	buf_printf(out, "/%s", k->plural);
	if (name) {
		buf_char(out, '/');
		kind_escape(out, name);
	}
	if (subresource) {
		buf_printf(out, "/%s", subresource);
	}
}

void kind_escape(struct buf *out, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c < 0x80 && (isalnum(c) || strchr("-._~", c))) {
			buf_char(out, *s);
		} else {
			buf_printf(out, "%%%02X", c);
		}
	}
}

int rv_compare(const char *a, const char *b)
{
	size_t na, nb;
	int r;

	a = a ? a + strspn(a, "0") : "";
	b = b ? b + strspn(b, "0") : "";
	na = strlen(a);
	nb = strlen(b);
	if (na != nb) {
		return na < nb ? -1 : 1;
	}
	r = strcmp(a, b);
	return (r > 0) - (r < 0);
}
