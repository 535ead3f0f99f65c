/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.h: the projection scanner: from the bytes of a list or a watch to structs, without a tree.
 *
 * Bytes are fed as they arrive, cut anywhere. Each is validated (RFC 8259: grammar, UTF-8 without
 * overlong forms and surrogates, escapes, paired \u surrogates, numbers; nothing but white space
 * after the document), but only the fields that the kind's table declares (type.h) are decoded; the
 * rest is skipped at the speed of reading. Every object goes to the sink as soon as it is complete;
 * the scanner keeps nothing of it.
 *
 * Limits, beyond which the feed fails: nesting SCAN_MAX_DEPTH, one token SCAN_MAX_TOKEN and one
 * item SCAN_MAX_ITEM bytes of text, SCAN_MAX_MEMORY bytes for what is decoded of one item, 1024
 * characters of one number. Memory is bounded by those, whatever is sent. After a failure scan_reset
 * starts afresh; the error names the byte offset.
 *
 * The limits lie beyond what the API server itself can hold, or one tenant's odd object would stop
 * the watch of all: it decodes to a depth of 10000 (sigs.k8s.io/json), and etcd takes 1.5 MiB a
 * request, which grows up to sixfold where a kind is stored as protobuf and its text is all \u003c.
 *
 * Three shapes:
 *	SCAN_OBJECT	one object: an answer to GET, apply, patch
 *	SCAN_LIST	{"metadata":{"resourceVersion","continue"},"items":[object, ...]}: an event
 *			an item
 *	SCAN_WATCH	{"type":"ADDED","object":{...}} one after another, white space between; an
 *			event's type may follow its object
 *
 * An answer of kind Status (an error of the API server, or a watch's ERROR event) fills `status` in
 * all three. In place of an object it is no item: the sink does not see it, scan_status tells.
 */
#pragma once

#include "base/err.h"
#include "json/type.h"

#define SCAN_MAX_DEPTH 10000
#define SCAN_MAX_TOKEN (10 * MiB)
#define SCAN_MAX_ITEM (10 * MiB)
#define SCAN_MAX_MEMORY (32 * MiB)

enum scan_shape { SCAN_OBJECT, SCAN_LIST, SCAN_WATCH };

enum scan_event_type {
	SCAN_ITEM, /* of a list, or the object of SCAN_OBJECT */
	SCAN_ADDED,
	SCAN_MODIFIED,
	SCAN_DELETED,
	SCAN_BOOKMARK,
	SCAN_ERROR,
	SCAN_UNKNOWN, /* a watch event of a type that we do not know */
};

/* metav1.Status, as far as a client acts on it. Strings may be NULL. */
struct scan_status {
	int64_t code;
	int64_t retry_after; /* details.retryAfterSeconds */
	const char *status;  /* "Failure" */
	const char *reason, *message;
	const char *cause; /* details.causes[0].reason */
};

struct scan_event {
	enum scan_event_type type;
	void *object; /* the kind's struct, never NULL; lent until the sink returns, as all here */
	struct scan_status status;
	bool initial_end; /* a bookmark annotated k8s.io/initial-events-end: "true" */
};

/* Called for each complete object. Must not feed or reset this scanner. */
typedef void scan_sink(void *ctx, const struct scan_event *event);

/* Of a list; valid once scan_end has returned 0. Lent until scan_reset. */
struct scan_list {
	const char *resource_version, *cont;
	int64_t remaining;
};

struct scan *scan_create(const struct type *type, enum scan_shape shape, scan_sink *sink,
			 void *ctx);
struct scan *scan_destroy(struct scan *s); /* NULL */
void scan_reset(struct scan *s, enum scan_shape shape);

/* 0, or -1 with err filled; then every further feed fails until scan_reset. */
int scan_feed(struct scan *s, const char *bytes, size_t n, struct err *err);
/* The stream is over: fails when it ends within a document; but for SCAN_WATCH, also when none
 * came. */
int scan_end(struct scan *s, struct err *err);

const struct scan_list *scan_list(const struct scan *s);
/* What a whole answer calls itself, its "kind"; NULL: it did not say. As lent as scan_list's. */
const char *scan_kind(const struct scan *s);
/* Of a whole answer, when the server sent a Status instead of an object or list; zero else. */
const struct scan_status *scan_status(const struct scan *s);
/* Bytes of memory that this scanner holds now. */
size_t scan_memory(const struct scan *s);
