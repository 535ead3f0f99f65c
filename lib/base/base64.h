/* SPDX-License-Identifier: Apache-2.0 */
/* base64.h: bytes as standard base64 (RFC 4648), in one line. */
#pragma once

#include "base/base.h"

/* A new string. */
char *base64_encode(const char *s);
