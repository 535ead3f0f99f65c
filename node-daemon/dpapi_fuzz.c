/* SPDX-License-Identifier: Apache-2.0 */
/* dpapi_fuzz.c: bytes as messages of the kubelet; the first says of which kind. What is read is
 * whole, and no message of a few bytes takes much memory. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "node-daemon/dpapi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t total;

static void add(const char *s)
{
	if (!s) {
		abort();
	}
	total += strlen(s) + 1;
}

static void add_ids(const struct dpapi_ids *ids)
{
	list_each(id, ids) {
		add(*id);
	}
}

static void add_holds(const struct dpapi_holds *holds, bool whose)
{
	list_each(h, holds) {
		add(h->resource);
		add(h->id);
		if (whose) {
			add(h->ns);
			add(h->pod);
			add(h->container);
		}
	}
}

static int read_one(int kind, const void *m, size_t n, struct arena *a, struct err *err)
{
	struct dpapi_asks asks = {.n = 0};
	struct dpapi_wishes wishes = {.n = 0};
	struct dpapi_holds holds = {.n = 0};
	int r;

	switch (kind & 3) {
	case 0:
		r = dpapi_read_allocate(m, n, a, &asks, err);
		break;
	case 1:
		r = dpapi_read_preferred(m, n, a, &wishes, err);
		break;
	case 2:
		r = dpapi_read_pods(m, n, kind & 64 ? "n/p" : NULL, a, &holds, err);
		break;
	default:
		r = dpapi_read_allocatable(m, n, a, &holds, err);
	}
	list_each(ids, &asks) {
		add_ids(ids);
	}
	list_each(w, &wishes) {
		add_ids(&w->available);
		add_ids(&w->must);
	}
	add_holds(&holds, (kind & 3) == 2);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t n = size ? size - 1 : 0;
	auto_free char *own = xmalloc(n ? n : 1);
	struct err err = {""};
	struct arena a;

	if (size) {
		memcpy(own, data + 1, n);
	}
	arena_init(&a, DPAPI_ARENA_MAX);
	total = 0;
	if (read_one(size ? data[0] : 0, own, n, &a, &err) < 0 && (total || !err.text[0])) {
		abort();
	}
	if (a.used > KiB + 100 * n) {
		abort();
	}
	arena_finish(&a);
	return 0;
}
