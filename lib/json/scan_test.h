/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan_test.h: what a scan gives, as text, wherever the bytes are cut. For tests.
 */
#pragma once

#include "base/buf.h"
#include "base/test.h"
#include "json/sample.h"

#define auto_scan_buf attr_cleanup(buf_finish) struct buf

static void describe_status(struct buf *out, const struct scan_status *st)
{
	if (st->status || st->reason || st->message || st->code) {
		buf_printf(out, " status=%s/%s/%s/%lld/%lld/%s", st->status, st->reason,
			   st->message, (long long)st->code, (long long)st->retry_after, st->cause);
	}
}

static void describe(void *ctx, const struct scan_event *e)
{
	static const char *const names[] = {"ITEM",	"ADDED", "MODIFIED", "DELETED",
					    "BOOKMARK", "ERROR", "UNKNOWN"};
	const struct sample *object = e->object;
	json_t *json = type_json(&sample_type, object);
	auto_free char *text = json_dumps(json, JSON_COMPACT);
	struct buf *out = ctx;

	buf_printf(out, "%s %s", names[e->type], text);
	if (object->fingerprint || object->n_spare) {
		buf_printf(out, " %llx %lld", (unsigned long long)object->fingerprint,
			   (long long)object->n_spare);
	}
	describe_status(out, &e->status);
	buf_str(out, e->initial_end ? " end\n" : "\n");
	json_decref(json);
}

static const char *describe_end(struct scan *s, int r, const struct err *err, struct buf *out)
{
	const struct scan_list *l = scan_list(s);

	if (r < 0) {
		buf_printf(out, "refused: %s\n", err->text);
	} else {
		buf_str(out, "ok");
		if (l->resource_version || l->cont || l->remaining) {
			buf_printf(out, " list=%s/%s/%lld", l->resource_version, l->cont,
				   (long long)l->remaining);
		}
		describe_status(out, scan_status(s));
	}
	return buf_text(out);
}

/* Feeds text in pieces of `first`, then `second` bytes, then the rest; 0: pieces of one byte. */
static const char *scan_cut(enum scan_shape shape, const char *text, size_t n, size_t first,
			    size_t second, struct buf *out)
{
	struct scan *s = scan_create(&sample_type, shape, describe, out);
	struct err err = {""};
	size_t at = 0;
	int r = 0;

	buf_reset(out);
	while (at < n && r == 0) {
		size_t piece = !first		       ? 1
			       : at == 0	       ? first
			       : at == first && second ? second
						       : n - at;
		/* A piece in memory of its own: reading beyond its end is seen by the sanitizer. */
		auto_free char *copy = xmalloc(piece);

		memcpy(copy, text + at, piece);
		r = scan_feed(s, copy, piece, &err);
		at += piece;
	}
	if (r == 0) {
		r = scan_end(s, &err);
	}
	describe_end(s, r, &err, out);
	scan_destroy(s);
	return buf_text(out);
}

/* The same result whole, at every split, and byte by byte. */
attr_unused static void is_scanned(enum scan_shape shape, const char *text, const char *want)
{
	auto_scan_buf out;
	size_t n = strlen(text);

	buf_init(&out, 16 * MiB);
	is_str(scan_cut(shape, text, n, n ? n : 1, 0, &out), want);
	is_str(scan_cut(shape, text, n, 0, 0, &out), want);
	for (size_t cut = 1; cut < n; cut++) {
		is_str(scan_cut(shape, text, n, cut, 0, &out), want);
	}
}
