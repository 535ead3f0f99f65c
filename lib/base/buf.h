/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buf.h: bytes that grow, up to a maximum.
 *
 * Invariants: bytes[0..len) is the content, bytes[len] is 0 once anything was added, len <= max
 * always. An addition that would pass the maximum adds nothing and returns -1, and so does every
 * later one until buf_reset: a chain of additions needs one check, at its end (buf_ok).
 */
#pragma once

#include "base/base.h"

struct buf {
	char *bytes;
	size_t len, size, max;
	bool over;
};

void buf_init(struct buf *b, size_t max);
void buf_finish(struct buf *b);
void buf_reset(struct buf *b);
/* The same, and gives much memory (over 64 KiB) back. */
void buf_trim(struct buf *b);

int buf_add(struct buf *b, const void *bytes, size_t n);
int buf_str(struct buf *b, const char *s);
int buf_char(struct buf *b, char c);
int buf_printf(struct buf *b, const char *format, ...) attr_printf(2, 3);
/* s as a JSON string with its quotes; s must be valid UTF-8. */
int buf_json_str(struct buf *b, const char *s);
/* Takes n bytes off the front. */
void buf_drop(struct buf *b, size_t n);

static inline bool buf_ok(const struct buf *b)
{
	return !b->over;
}

/* The content as a string, "" when empty. Lent until the next change. */
static inline const char *buf_text(const struct buf *b)
{
	return b->len ? b->bytes : "";
}

#define auto_buf attr_cleanup(buf_finish)
