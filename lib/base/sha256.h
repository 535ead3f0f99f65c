/* SPDX-License-Identifier: Apache-2.0 */
/* sha256.h: SHA-256 as lower-case hex, for names and fingerprints that others can compute too. */
#pragma once

#include "base/base.h"

#define SHA256_HEX 65

void sha256_hex(const void *bytes, size_t n, char ret[SHA256_HEX]);
