/* SPDX-License-Identifier: Apache-2.0 */
#include "api/gpu_names.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* One PCI id. chip, model and name are offsets in pool. In the order of the ids. */
struct row {
	uint16_t device;
	uint16_t chip;
	uint16_t model;
	uint32_t name;
};

/* Another spelling of rows[row]. In the order of row. */
struct alias {
	uint16_t row;
	uint32_t name;
};

/* Other words for the card of rows[row] with this subsystem. */
struct card {
	uint16_t row;
	uint16_t chip;
	uint16_t model;
	uint32_t subsystem;
};

/* rows[first .. first + n) are of this vendor; their names begin with prefix and '/'. */
struct vendor {
	uint16_t id;
	uint16_t first;
	uint16_t n;
	const char *prefix;
};

/* by_name: indices of rows, above them of aliases, in the order of the name after the prefix. */
#include "gen/gpu_names.inc"

/* Of the part after '/'; the API server refuses longer ones (IsQualifiedName). */
#define NAME_MAX_LEN 63

static int fold(char c)
{
	return c >= 'a' && c <= 'z' ? c - 'a' + 'A' : (unsigned char)c;
}

static int compare_folded(const char *a, const char *b)
{
	while (*a && fold(*a) == fold(*b)) {
		a++;
		b++;
	}
	return fold(*a) - fold(*b);
}

static bool alnum(int c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static const struct vendor *vendor_of_id(uint16_t id)
{
	for (size_t i = 0; i < ARRAY_LEN(vendors); i++) {
		if (vendors[i].id == id) {
			return &vendors[i];
		}
	}
	return NULL;
}

static const struct vendor *vendor_of_row(size_t row)
{
	const struct vendor *v = vendors;

	while (row >= (size_t)v->first + v->n) {
		v++;
	}
	return v;
}

/* The index in rows, or -1. */
static int find_row(uint16_t vendor, uint16_t device)
{
	const struct vendor *v = vendor_of_id(vendor);
	size_t low = v ? v->first : 0;
	size_t high = v ? low + v->n : 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (rows[middle].device == device) {
			return (int)middle;
		}
		if (rows[middle].device < device) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return -1;
}

bool gpu_names_by_id(uint16_t vendor, uint16_t device, uint32_t subsystem, struct gpu_name *ret)
{
	int row = find_row(vendor, device);
	uint16_t chip, model;

	if (row < 0) {
		return false;
	}
	chip = rows[row].chip;
	model = rows[row].model;
	for (size_t i = 0; i < ARRAY_LEN(cards); i++) {
		if (cards[i].row == row && cards[i].subsystem == subsystem) {
			chip = cards[i].chip;
			model = cards[i].model;
		}
	}
	*ret = (struct gpu_name){
		.name = pool + rows[row].name, .model = pool + model, .chip = pool + chip};
	return true;
}

/* by_name[i]: its row, its spelling after the prefix, and whether that is the canonical one. */
struct entry {
	size_t row;
	const char *spelling;
	bool canonical;
};

static struct entry entry_at(size_t i)
{
	size_t index = by_name[i];
	bool canonical = index < ARRAY_LEN(rows);
	size_t row = canonical ? index : aliases[index - ARRAY_LEN(rows)].row;
	uint32_t name = canonical ? rows[row].name : aliases[index - ARRAY_LEN(rows)].name;

	return (struct entry){
		.row = row,
		.spelling = pool + name + strlen(vendor_of_row(row)->prefix) + 1,
		.canonical = canonical,
	};
}

/* The first index in by_name whose spelling is not below asked. */
static size_t lower_bound(const char *asked)
{
	size_t low = 0, high = ARRAY_LEN(by_name);

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (compare_folded(entry_at(middle).spelling, asked) < 0) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

static size_t add_name(size_t row, const char **ret, size_t n, size_t max)
{
	const char *name = pool + rows[row].name;

	for (size_t i = 0; i < n; i++) {
		/* Equal strings are kept once in the pool. */
		if (ret[i] == name) {
			return n;
		}
	}
	if (n < max) {
		ret[n++] = name;
	}
	return n;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c = (char)fold(c);
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Four hex digits at s; false when they are not there. */
static bool hex4(const char *s, uint16_t *ret)
{
	unsigned v = 0;

	for (int i = 0; i < 4; i++) {
		int d = hex_digit(s[i]);
		if (d < 0) {
			return false;
		}
		v = v << 4 | (unsigned)d;
	}
	*ret = (uint16_t)v;
	return true;
}

/* vendor:device, perhaps with :vendor:device of the subsystem behind it. */
static bool is_pci_id(const char *s, uint16_t *ret_vendor, uint16_t *ret_device)
{
	uint16_t vendor, device, ignored;
	size_t len = strlen(s);

	if ((len != 9 && len != 19) || !hex4(s, &vendor) || s[4] != ':' || !hex4(s + 5, &device)) {
		return false;
	}
	if (len == 19 &&
	    (s[9] != ':' || !hex4(s + 10, &ignored) || s[14] != ':' || !hex4(s + 15, &ignored))) {
		return false;
	}
	*ret_vendor = vendor;
	*ret_device = device;
	return true;
}

/*
 * Splits off a vendor's prefix: *ret_vendor is NULL without one. False when the prefix is of no
 * vendor in the table.
 */
static bool split_prefix(const char *asked, const struct vendor **ret_vendor,
			 const char **ret_short)
{
	const char *slash = strchr(asked, '/');

	if (!slash) {
		*ret_vendor = NULL;
		*ret_short = asked;
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(vendors); i++) {
		size_t len = strlen(vendors[i].prefix);
		if ((size_t)(slash - asked) == len &&
		    strncasecmp(asked, vendors[i].prefix, len) == 0) {
			*ret_vendor = &vendors[i];
			*ret_short = slash + 1;
			return true;
		}
	}
	return false;
}

static size_t resolve_device(const struct vendor *only, uint16_t device, const char **ret,
			     size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(vendors); i++) {
		int row = !only || only == &vendors[i] ? find_row(vendors[i].id, device) : -1;
		if (row >= 0) {
			n = add_name((size_t)row, ret, n, max);
		}
	}
	return n;
}

size_t gpu_names_resolve(const char *asked, const char **ret, size_t max)
{
	const struct vendor *vendor;
	const char *spelling;
	uint16_t vendor_id, device;
	size_t n = 0;

	if (is_pci_id(asked, &vendor_id, &device)) {
		int row = find_row(vendor_id, device);
		return row < 0 ? 0 : add_name((size_t)row, ret, 0, max);
	}
	if (!split_prefix(asked, &vendor, &spelling)) {
		return 0;
	}
	/* Canonical names stand before aliases that are spelt alike. */
	for (size_t i = lower_bound(spelling); i < ARRAY_LEN(by_name); i++) {
		struct entry e = entry_at(i);
		if (compare_folded(e.spelling, spelling) != 0) {
			break;
		}
		if (!vendor || vendor_of_row(e.row) == vendor) {
			n = add_name(e.row, ret, n, max);
		}
	}
	if (n == 0 && strlen(spelling) == 4 && hex4(spelling, &device)) {
		n = resolve_device(vendor, device, ret, max);
	}
	return n;
}

size_t gpu_names_aliases(uint16_t vendor, uint16_t device, const char **ret, size_t max)
{
	int row = find_row(vendor, device);
	size_t low = 0, high = ARRAY_LEN(aliases), n = 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (aliases[middle].row < row) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	while (n < max && low < ARRAY_LEN(aliases) && aliases[low].row == row) {
		ret[n++] = pool + aliases[low++].name;
	}
	return n;
}

size_t gpu_names_ids(const char *name, uint32_t *ret, size_t max)
{
	const struct vendor *vendor;
	const char *spelling;
	size_t n = 0;

	if (!split_prefix(name, &vendor, &spelling) || !vendor) {
		return 0;
	}
	for (size_t i = lower_bound(spelling); i < ARRAY_LEN(by_name) && n < max; i++) {
		struct entry e = entry_at(i);
		if (strcmp(e.spelling, spelling) != 0) {
			break;
		}
		if (e.canonical && vendor_of_row(e.row) == vendor) {
			ret[n++] = (uint32_t)vendor->id << 16 | rows[e.row].device;
		}
	}
	return n;
}

/*
 * The rule of NVIDIA's kubevirt-gpu-device-plugin (pkg/device_plugin/device_plugin.go), and then
 * what it lacks: the result is at most NAME_MAX_LEN long, and begins and ends with a letter or
 * digit. Returns its length, 0 for none.
 */
static size_t name_from_words(const char *words, char ret[static NAME_MAX_LEN + 1])
{
	size_t n = 0;
	bool blank = false;

	for (; *words && n < NAME_MAX_LEN; words++) {
		bool was_blank = blank;
		blank = *words == ' ' || (*words >= '\t' && *words <= '\r');
		if (blank && was_blank) {
			continue;
		}
		int c = blank || *words == '/' || *words == '.' ? '_' : fold(*words);
		if (alnum(c) || (c == '_' && n > 0)) {
			ret[n++] = (char)c;
		}
	}
	while (n > 0 && !alnum(ret[n - 1])) {
		n--;
	}
	ret[n] = 0;
	return n;
}

/*
 * Harvester's rule for a vendor that is not in the table: what stands in [] up to '/', else the
 * first word; letters and digits only, in lower case. Returns the length, 0 for none.
 */
static size_t prefix_from_words(const char *words, char ret[static NAME_MAX_LEN + 1])
{
	const char *bracket = strchr(words, '[');
	size_t len, n = 0;

	words = bracket ? bracket + 1 : words + strspn(words, " ");
	len = strcspn(words, bracket ? "/]" : " ");
	for (size_t i = 0; i < len && n < NAME_MAX_LEN; i++) {
		if (alnum(words[i])) {
			ret[n++] = (char)tolower((unsigned char)words[i]);
		}
	}
	ret[n] = 0;
	return n;
}

void gpu_names_make(uint16_t vendor, const char *vendor_words, uint16_t device, const char *words,
		    char ret[static GPU_NAME_SIZE])
{
	const struct vendor *v = vendor_of_id(vendor);
	char prefix[NAME_MAX_LEN + 1], name[NAME_MAX_LEN + 1];

	if (!words || !name_from_words(words, name)) {
		snprintf(name, sizeof(name), "%04x", device);
	}
	if (v) {
		snprintf(ret, GPU_NAME_SIZE, "%s/%s", v->prefix, name);
	} else if (vendor_words && prefix_from_words(vendor_words, prefix)) {
		snprintf(ret, GPU_NAME_SIZE, "%s.com/%s", prefix, name);
	} else {
		snprintf(ret, GPU_NAME_SIZE, "pci%04x.vmgpu.io/%s", vendor, name);
	}
}
