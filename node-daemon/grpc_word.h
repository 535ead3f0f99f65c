/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc_word.h: the small words of gRPC: codes, their names, what HTTP's and HTTP/2's own codes
 * mean, texts in headers, time-outs. Pure. Sources are the documents of github.com/grpc/grpc/doc.
 */
#pragma once

#include "base/buf.h"

enum grpc_code {
	GRPC_OK,
	GRPC_CANCELLED,
	GRPC_UNKNOWN,
	GRPC_INVALID_ARGUMENT,
	GRPC_DEADLINE_EXCEEDED,
	GRPC_NOT_FOUND,
	GRPC_ALREADY_EXISTS,
	GRPC_PERMISSION_DENIED,
	GRPC_RESOURCE_EXHAUSTED,
	GRPC_FAILED_PRECONDITION,
	GRPC_ABORTED,
	GRPC_OUT_OF_RANGE,
	GRPC_UNIMPLEMENTED,
	GRPC_INTERNAL,
	GRPC_UNAVAILABLE,
	GRPC_DATA_LOSS,
	GRPC_UNAUTHENTICATED,
};

#define GRPC_TIMEOUT_TEXT 24

/* "RESOURCE_EXHAUSTED" */
const char *grpc_code_name(enum grpc_code code);
/* grpc-status: a decimal number; what is none, or none of ours, is UNKNOWN. */
enum grpc_code grpc_code_read(const char *s, size_t n);
/* :status of an answer that has no grpc-status (http-grpc-status-mapping.md). */
enum grpc_code grpc_code_of_http(int status);
/* The code of an RST_STREAM (PROTOCOL-HTTP2.md, "Errors"). */
enum grpc_code grpc_code_of_reset(uint32_t h2_code);

/* grpc-message: what is not printable ASCII, and %, as %XX. */
void grpc_text_write(const char *text, struct buf *to);
/* Back; a % that begins no such byte stands for itself. At most max - 1 bytes, 0-terminated, whole
 * UTF-8 characters as far as they were. */
void grpc_text_read(const char *s, size_t n, char *to, size_t max);

/* grpc-timeout: up to eight digits and H, M, S, m, u or n; in ms, rounded up. 0, or -1. */
int grpc_timeout_read(const char *s, size_t n, int64_t *ret_ms);
const char *grpc_timeout_write(int64_t ms, char text[GRPC_TIMEOUT_TEXT]); /* text */
