/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sha256.h"

#include <openssl/sha.h>
#include <stdio.h>

void sha256_hex(const void *bytes, size_t n, char ret[SHA256_HEX])
{
	unsigned char digest[SHA256_DIGEST_LENGTH];

	SHA256(bytes, n, digest);
	for (size_t i = 0; i < sizeof(digest); i++) {
		snprintf(ret + 2 * i, 3, "%02x", digest[i]);
	}
}
