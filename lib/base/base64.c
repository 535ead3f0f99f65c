/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

#include <openssl/evp.h>
#include <string.h>

char *base64_encode(const char *s)
{
	size_t n = strlen(s);
	char *out = xmalloc(n / 3 * 4 + 8);

	EVP_EncodeBlock((unsigned char *)out, (const unsigned char *)s, (int)n);
	return out;
}
