/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_header_fuzz.c: bytes as the header of an answer, line after line. Each is read within its
 * bytes; the status has three digits, Retry-After is no longer than it may be.
 */
#include "kube/http_header.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW 784111777

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_header h = {0, -1};

	for (size_t n; size; data += n, size -= n) {
		const uint8_t *end = memchr(data, '\n', size);
		auto_free char *line = NULL; /* of its own: one byte too far is noticed */

		n = end ? (size_t)(end + 1 - data) : size;
		line = xmalloc(n);
		memcpy(line, data, n);
		if (http_header_line(&h, line, n, NOW) != (n <= 2) || h.status < 0 ||
		    h.status > 999 || h.retry_after < -1 || h.retry_after > INT32_MAX) {
			abort();
		}
	}
	return 0;
}
