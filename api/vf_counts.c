/* SPDX-License-Identifier: Apache-2.0 */
#include "api/vf_counts.h"

#include <inttypes.h>

#include "base/buf.h"

#define MAX_COUNTS 7
#define TEXT_MAX 256

#define FLEX_170 {1, 2, 4, 5, 8, 16}, 8
#define FLEX_140 {1, 3, 6, 12}, 6
#define MAX_128G {1, 2, 4, 8, 16, 32, 62}, 16
#define MAX_48G {1, 2, 4, 8, 16, 32, 63}, 8

static const struct profiles {
	const char *device;
	int64_t counts[MAX_COUNTS + 1], usual;
} intel[] = {
	{"56c0", FLEX_170}, {"56c1", FLEX_140}, {"0b69", MAX_128G},
	{"0bd0", MAX_128G}, {"0bd5", MAX_128G}, {"0bd6", MAX_128G},
	{"0bd9", MAX_48G},  {"0bda", MAX_48G},	{"0bdb", MAX_48G},
};

static const struct profiles *find(const char *vendor, const char *device)
{
	for (size_t i = 0; str_eq(vendor, "8086") && i < ARRAY_LEN(intel); i++) {
		if (str_eq(device, intel[i].device)) {
			return &intel[i];
		}
	}
	return NULL;
}

int64_t vf_counts_default(const char *vendor, const char *device, int64_t total)
{
	const struct profiles *p = find(vendor, device);

	return p ? MIN(p->usual, total) : total;
}

static const char *no_share(const struct profiles *p, int64_t total, int64_t asked, struct arena *a)
{
	attr_cleanup(buf_finish) struct buf b;

	buf_init(&b, TEXT_MAX);
	for (size_t i = 0; p->counts[i] && p->counts[i] <= total; i++) {
		if (p->counts[i] == asked) {
			return NULL;
		}
		buf_printf(&b, "%s%" PRId64, i ? ", " : "", p->counts[i]);
	}
	return arena_printf(a, "the card is divided evenly among %s", buf_text(&b));
}

const char *vf_counts_refusal(const char *vendor, const char *device, int64_t total, int64_t asked,
			      struct arena *a)
{
	const struct profiles *p = find(vendor, device);

	if (str_eq(vendor, "10de")) {
		return asked == total
			       ? NULL
			       : arena_printf(a, "NVIDIA's driver makes all %" PRId64, total);
	}
	if (asked < 1 || asked > total) {
		return arena_printf(a, "the card can have 1 to %" PRId64, total);
	}
	return p ? no_share(p, total, asked, a) : NULL;
}
