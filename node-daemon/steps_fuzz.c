/* SPDX-License-Identifier: Apache-2.0 */
/* steps_fuzz.c: bytes as what a child says. Not more steps are done than there are, every text is
 * one line, and said again it is heard the same. */
#include <stdlib.h>
#include <string.h>

#include "node-daemon/steps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void say_again(const struct steps_heard *h, struct buf *out)
{
	for (size_t i = 0; i < h->done; i++) {
		steps_say(out, i, true, h->read[i]);
	}
	if (h->why) {
		steps_say(out, h->done, false, h->why);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct step items[] = {{STEP_READ_OVERRIDE, 0x100, ""},
				      {STEP_OVERRIDE, 0x100, "vfio-pci"},
				      {STEP_PROBE, 0x100, ""}};
	const struct steps steps = {items, ARRAY_LEN(items)};
	auto_free char *bytes = xmalloc(size + 1); /* of its own: one byte too far is noticed */
	attr_cleanup(arena_finish) struct arena a;
	attr_cleanup(buf_finish) struct buf once, twice;
	struct steps_heard first, again;

	memcpy(bytes, data, size);
	bytes = xrealloc(bytes, size ? size : 1);
	arena_init(&a, 64 * MiB);
	buf_init(&once, MiB);
	buf_init(&twice, MiB);
	steps_hear(&steps, bytes, size, &a, &first);
	if (first.done > steps.n || (first.why && first.done == steps.n)) {
		abort();
	}
	say_again(&first, &once);
	steps_hear(&steps, buf_text(&once), once.len, &a, &again);
	say_again(&again, &twice);
	if (again.done != first.done || !str_eq(buf_text(&once), buf_text(&twice))) {
		abort();
	}
	return 0;
}
