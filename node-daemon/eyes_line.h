/* SPDX-License-Identifier: Apache-2.0 */
/* eyes_line.h: private to eyes_wire.c and reading.c: an object as the one line that is a packet. Pure. */
#pragma once

#include "base/buf.h"
#include "json/type.h"

/* 0, or -1: it is too long. Adds a line to out. */
int eyes_line_write(const struct type *t, const void *object, struct buf *out);
/* 0, or -1 and why it is none. */
int eyes_line_read(const struct type *t, const char *bytes, size_t n, struct arena *a, void *ret,
		   struct err *err);
/* What the object says of its version is ours. */
int eyes_line_version(int64_t v, struct err *err);
/* An address as text, in the arena; and back. */
const char *eyes_line_address(uint64_t address, struct arena *a);
int eyes_line_parse(const char *text, uint64_t *ret, struct err *err);
