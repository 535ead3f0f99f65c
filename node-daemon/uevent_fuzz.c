/* SPDX-License-Identifier: Apache-2.0 */
/* uevent_fuzz.c: bytes as a message of the kernel. What is understood lies within the message and
 * ends in it. */
#include <stdlib.h>
#include <string.h>

#include "node-daemon/uevent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(const char *s, const char *bytes, size_t n)
{
	if (s < bytes || s >= bytes + n || !memchr(s, 0, (size_t)(bytes + n - s))) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *bytes =
		xmalloc(size + 1); /* of its own, so that one byte too far is noticed */
	struct uevent e;

	memcpy(bytes, data, size);
	bytes = xrealloc(bytes, size ? size : 1);
	if (uevent_parse(bytes, size, &e) == 0) {
		inside(e.action, bytes, size);
		inside(e.devpath, bytes, size);
		inside(e.subsystem, bytes, size);
		(void)uevent_matters(&e);
	}
	return 0;
}
