/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_header.h: what we read of an answer's header, line by line as libcurl hands them over, or
 * field by field, as nghttp2 does: the status and Retry-After. Pure. Private to http*.c.
 */
#pragma once

#include "base/base.h"

struct http_header {
	int status;	     /* 0: none that is one */
	int64_t retry_after; /* seconds, at most INT32_MAX; -1: not said */
};

/*
 * A line of n bytes, its end included. now_s: seconds since 1970, for a Retry-After that is a date.
 * True where it ends the header. A status line begins anew: an interim answer (100) comes before
 * the true one.
 */
bool http_header_line(struct http_header *h, const char *line, size_t n, int64_t now_s);
/* A field of HTTP/2; the status is ":status". Names are in small letters (RFC 9113 8.2). */
void http_header_field(struct http_header *h, const char *name, const char *value, size_t n,
		       int64_t now_s);
