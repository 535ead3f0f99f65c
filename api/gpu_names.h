/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gpu_names.h: what a GPU is called.
 *
 * One table, api/gpu_names.tsv, is compiled in: PCI id -> canonical resource name, the model in
 * words, and the other spellings that mean it. Several ids may share one canonical name (an A100
 * has two), and several names one alias (H100_94GB is either of two cards). The table goes before
 * any pci.ids of the machine, so that a name does not change with a package upgrade; for an id that
 * is not in it, gpu_names_make() applies the same rule to the machine's words.
 *
 * All functions are pure: strings that they return are constant and live for ever, arrays are the
 * caller's.
 */
#pragma once

#include "base/base.h"

/* A resource name has a prefix of 253 bytes, '/', and 63 bytes; this counts the final 0 too. */
#define GPU_NAME_SIZE 318

/* No spelling means more names, and no name has more ids or aliases, than this (a test says so). */
#define GPU_NAMES_MAX 32

struct gpu_name {
	const char *name;  /* canonical: nvidia.com/AD102GL_L40S */
	const char *model; /* L40S */
	const char *chip;  /* AD102GL; "" when the words do not tell it apart */
};

/*
 * By PCI id. subsystem is (vendor << 16 | device) of the card's subsystem, or 0 when it is not
 * known: it can give the model other words (A2 or A16), never another name. False when the id is
 * not in the table.
 */
bool gpu_names_by_id(uint16_t vendor, uint16_t device, uint32_t subsystem, struct gpu_name *ret);

/*
 * The canonical names that a spelling means, all different, at most max of them; returns how many.
 * A spelling is a canonical name, an alias, or a device id (26b9), each with or without
 * "nvidia.com/" before it, or vendor:device (10de:26b9); upper and lower case are the same. When
 * there are several, a name that was spelt exactly comes first; who asked is served by any of them.
 * 0: the table does not know it, which says nothing against it (a vGPU type, a name that an
 * administrator made).
 */
size_t gpu_names_resolve(const char *asked, const char **ret, size_t max);

/*
 * The other spellings of an id that stand in the table. Not among them: vendor:device and
 * nvidia.com/<device>.
 */
size_t gpu_names_aliases(uint16_t vendor, uint16_t device, const char **ret, size_t max);

/* The ids (vendor << 16 | device) that have a canonical name, in ascending order. */
size_t gpu_names_ids(const char *name, uint32_t *ret, size_t max);

/*
 * A name for an id that is not in the table. vendor_words and words are what pci.ids says of vendor
 * and device; either may be NULL or empty. The result is always a valid resource name, in the end
 * <prefix>/<device id>.
 */
void gpu_names_make(uint16_t vendor, const char *vendor_words, uint16_t device, const char *words,
		    char ret[static GPU_NAME_SIZE]);

/*
 * For "did you mean": those of have[0..n) that look or sound like asked, best first, at most max;
 * returns how many. Nothing that is merely there is suggested, and nothing twice. ret points to
 * strings of have.
 */
size_t gpu_names_near(const char *asked, const char *const *have, size_t n, const char **ret,
		      size_t max);
