/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml_fuzz.c: bytes as manifests. What is refused is refused in one sentence; what is read and
 * written again reads as the same, and writes as the same.
 */
#include "json/yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define check(cond)                                                                                \
	((cond) ? (void)0 : (fprintf(stderr, "line %d: %s\n", __LINE__, #cond), abort()))

static void round_trip(const json_t *value)
{
	auto_buf struct buf once, twice;
	struct err err = {""};
	json_t *again;

	buf_init(&once, 64 * MiB);
	buf_init(&twice, 64 * MiB);
	yaml_write(value, &once);
	again = yaml_read("again", buf_text(&once), once.len, &err);
	if (!again || json_array_size(again) != 1 || !json_equal(json_array_get(again, 0), value)) {
		fprintf(stderr, "written:\n%s\n%s\n", buf_text(&once), err.text);
		abort();
	}
	yaml_write(json_array_get(again, 0), &twice);
	check(str_eq(buf_text(&once), buf_text(&twice)));
	json_decref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = {""};
	auto_free char *text = xmalloc(size + !size); /* so that one byte too far is noticed */
	json_t *all, *one;
	size_t i;

	memcpy(text, data, size);
	all = yaml_read("name", text, size, &err);
	if (!all) {
		check(str_starts(err.text, "name: ") && !strchr(err.text, '\n'));
		return 0;
	}
	check(json_is_array(all));
	json_array_foreach(all, i, one) {
		round_trip(one);
	}
	json_decref(all);
	return 0;
}
