/* SPDX-License-Identifier: Apache-2.0 */
/* tool_fuzz.c: bytes as an answer of the vendor's tools. Nothing is read beyond its end, the words
 * are printable, and said again they are heard the same. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "node-daemon/tool.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *bytes = xmalloc(size + 1), *line = NULL;
	struct tool_answer once, again;

	memcpy(bytes, data, size);
	bytes = xrealloc(bytes, size ? size : 1); /* of its own: one byte too far is noticed */
	if (tool_hear(bytes, size, &once, NULL) < 0) {
		return 0;
	}
	for (const char *s = once.words; *s; s++) {
		if (*s < ' ' || *s > '~') {
			abort();
		}
	}
	line = xprintf("%" PRId64 " %s\n", once.status, once.words);
	if (tool_hear(line, strlen(line), &again, NULL) < 0 || again.status != once.status ||
	    !str_eq(again.words, once.words)) {
		abort();
	}
	return 0;
}
