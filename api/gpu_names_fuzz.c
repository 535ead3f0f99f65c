/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gpu_names_fuzz.c: bytes as what a user asks for, and as a line of pci.ids: ids, vendor and device
 * words, parted by newlines. What a spelling means has ids and is found again by its own name; the
 * case of letters says nothing; a name that is made is a resource name; near ones are some of those
 * that are there, none twice.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/gpu_names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define check(cond)                                                                                \
	((cond) ? (void)0 : (fprintf(stderr, "line %d: %s\n", __LINE__, #cond), abort()))

#define ALNUM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

static void resolve(const char *asked)
{
	const char *found[GPU_NAMES_MAX], *again[GPU_NAMES_MAX];
	uint32_t ids[GPU_NAMES_MAX];
	auto_free char *other = xstrdup(asked);
	size_t n = gpu_names_resolve(asked, found, GPU_NAMES_MAX);

	check(n <= GPU_NAMES_MAX);
	for (char *c = other; *c; c++) {
		*c ^= (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ? 0x20 : 0;
	}
	check(gpu_names_resolve(other, again, GPU_NAMES_MAX) == n);
	for (size_t i = 0; i < n; i++) {
		check(gpu_names_ids(found[i], ids, GPU_NAMES_MAX) > 0);
		check(gpu_names_resolve(found[i], again, 1) == 1 && str_eq(again[0], found[i]));
	}
}

/* KubeVirt takes what the kubelet takes: a DNS prefix, '/', and a qualified name. */
static void make(uint16_t vendor, uint16_t device, const char *vendor_words, const char *words)
{
	char name[GPU_NAME_SIZE];
	size_t prefix, n;

	gpu_names_make(vendor, vendor_words, device, words, name);
	prefix = strcspn(name, "/");
	n = strlen(name + prefix);
	check(prefix > 0 && prefix <= 253 && strspn(name, ALNUM "-.") == prefix);
	check(n >= 2 && n <= 64 && strspn(name + prefix + 1, ALNUM "-_.") == n - 1);
	check(strchr(ALNUM, name[prefix + 1]) && strchr(ALNUM, name[prefix + n - 1]));
}

static void near(const char *asked, const char *a, const char *b)
{
	const char *have[] = {a, "nvidia.com/AD102GL_L40S", b, "nvidia.com/GH100_H100_NVL"};
	const char *got[4];
	size_t n = gpu_names_near(asked, have, ARRAY_LEN(have), got, 3);

	check(n <= 3);
	for (size_t i = 0; i < n; i++) {
		check(got[i] == have[0] || got[i] == have[1] || got[i] == have[2] ||
		      got[i] == have[3]);
		for (size_t k = 0; k < i; k++) {
			check(!str_eq(got[i], got[k]));
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *text = xstrndup((const char *)data, size);
	char *lines[4] = {text, "", "", ""};

	for (size_t i = 1; i < ARRAY_LEN(lines); i++) {
		char *end = strchr(lines[i - 1], '\n');

		if (!end) {
			break;
		}
		*end = '\0';
		lines[i] = end + 1;
	}
	resolve(lines[0]);
	near(lines[0], lines[1], lines[2]);
	make((uint16_t)strtoul(lines[2], NULL, 16), (uint16_t)strtoul(lines[3], NULL, 16), lines[0],
	     lines[1]);
	return 0;
}
