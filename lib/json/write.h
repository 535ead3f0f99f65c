/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write.h: a jansson value as compact text: what json_dumps(v, JSON_COMPACT) says, in a third of
 * its time. The strings were checked when they were made, and need no second look at their UTF-8;
 * control characters are all written as \u00XX, a NUL too.
 */
#pragma once

#include <jansson.h>

#include "base/buf.h"

/* Added to out; where that is too much, out says so (buf_ok). */
void json_write(const json_t *v, struct buf *out);

/* json_dumps(v, flags) as a new string for free(); NULL where json_dumps fails. */
char *json_text(const json_t *v, size_t flags);
