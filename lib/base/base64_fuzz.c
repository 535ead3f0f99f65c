/* SPDX-License-Identifier: Apache-2.0 */
/* base64_fuzz.c: bytes as a user's text: encoded it is one line of the alphabet, and OpenSSL reads
 * the same from it. */
#include "base/base64.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
	auto_free char *text = xstrndup((const char *)data, size), *coded = base64_encode(text);
	auto_free unsigned char *back = NULL;
	size_t n = strlen(coded), want = strlen(text);

	back = xmalloc(n + 1);
	if (strspn(coded, alphabet) != n || n != (want + 2) / 3 * 4 ||
	    (n && EVP_DecodeBlock(back, (const unsigned char *)coded, (int)n) < (int)want) ||
	    memcmp(back, text, want) != 0) {
		abort();
	}
	return 0;
}
