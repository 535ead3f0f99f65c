/* SPDX-License-Identifier: Apache-2.0 */
#include "base/metric.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OTHER "other"

struct series {
	char *labels;	   /* the values, each with its 0 */
	double value;	   /* of a histogram: the sum */
	uint64_t *buckets; /* each by itself, not cumulated; the last is +Inf */
};

struct family {
	uint32_t *hashes; /* of series, side by side: looked through on every update */
	struct series *series;
	size_t n, n_labels;
};

struct metrics {
	const struct metric *table;
	struct family *families;
	size_t n;
};

static size_t count_labels(const struct metric *row)
{
	size_t n = 0;

	while (n < METRIC_LABELS_MAX && row->labels[n]) {
		n++;
	}
	return n;
}

/* Series */

static bool same_labels(const struct series *s, const char *const *labels, size_t n)
{
	const char *p = s->labels;

	for (size_t i = 0; i < n; i++) {
		if (!str_eq(p, labels[i])) {
			return false;
		}
		p += strlen(p) + 1;
	}
	return true;
}

static uint32_t hash_labels(const char *const *labels, size_t n)
{
	uint64_t h = HASH_SEED;

	for (size_t i = 0; i < n; i++) {
		h = hash_bytes(h, labels[i], strlen(labels[i]) + 1);
	}
	return (uint32_t)(h ^ h >> 32);
}

static struct series *find(const struct family *f, const char *const *labels, uint32_t hash)
{
	for (size_t i = 0; i < f->n; i++) {
		if (f->hashes[i] == hash && same_labels(&f->series[i], labels, f->n_labels)) {
			return &f->series[i];
		}
	}
	return NULL;
}

static char *join_labels(const char *const *labels, size_t n)
{
	size_t size = 0;
	char *all, *p;

	for (size_t i = 0; i < n; i++) {
		size += strlen(labels[i]) + 1;
	}
	all = p = xmalloc(size);
	for (size_t i = 0; i < n; i++) {
		p = stpcpy(p, labels[i]) + 1;
	}
	return all;
}

static struct series *add(const struct metric *row, struct family *f, const char *const *labels,
			  uint32_t hash)
{
	struct series *s;

	if (!(f->n & (f->n - 1))) { /* full at each power of two */
		size_t size = MAX(f->n * 2, (size_t)1);

		f->hashes = xrealloc(f->hashes, size * sizeof(*f->hashes));
		f->series = xrealloc(f->series, size * sizeof(*f->series));
	}
	f->hashes[f->n] = hash;
	s = &f->series[f->n++];
	*s = (struct series){.labels = join_labels(labels, f->n_labels)};
	if (row->type == METRIC_HISTOGRAM) {
		s->buckets = xcalloc(row->n_buckets + 1, sizeof(*s->buckets));
	}
	return s;
}

static struct series *get(struct metrics *m, size_t id, const char *const *labels)
{
	static const char *const others[METRIC_LABELS_MAX] = {OTHER, OTHER, OTHER, OTHER};
	struct family *f = &m->families[id];
	uint32_t hash;
	struct series *s;

	assert(id < m->n);
	hash = hash_labels(labels, f->n_labels);
	s = find(f, labels, hash);
	if (!s && f->n >= METRIC_SERIES_MAX) {
		labels = others;
		hash = hash_labels(labels, f->n_labels);
		s = find(f, labels, hash);
	}
	return s ? s : add(&m->table[id], f, labels, hash);
}

struct metrics *metrics_create(const struct metric *table, size_t n)
{
	struct metrics *m = xcalloc(1, sizeof(*m));

	*m = (struct metrics){.table = table, .families = xcalloc(n, sizeof(*m->families)), .n = n};
	for (size_t i = 0; i < n; i++) {
		m->families[i].n_labels = count_labels(&table[i]);
		if (!m->families[i].n_labels) {
			get(m, i, NULL);
		}
	}
	return m;
}

struct metrics *metrics_destroy(struct metrics *m)
{
	for (size_t i = 0; m && i < m->n; i++) {
		struct family *f = &m->families[i];

		for (size_t k = 0; k < f->n; k++) {
			free(f->series[k].labels);
			free(f->series[k].buckets);
		}
		free(f->hashes);
		free(f->series);
	}
	if (m) {
		free(m->families);
	}
	free(m);
	return NULL;
}

void metric_add(struct metrics *m, size_t id, double by, const char *const *labels)
{
	if (m) {
		get(m, id, labels)->value += by;
	}
}

void metric_set(struct metrics *m, size_t id, double value, const char *const *labels)
{
	if (m) {
		get(m, id, labels)->value = value;
	}
}

void metric_observe(struct metrics *m, size_t id, double value, const char *const *labels)
{
	const struct metric *row;
	struct series *s;
	size_t i = 0;

	if (!m) {
		return;
	}
	row = &m->table[id];
	s = get(m, id, labels);
	while (i < row->n_buckets && value > row->buckets[i]) {
		i++;
	}
	s->buckets[i]++;
	s->value += value;
}

/* Writing */

static void write_number(struct buf *b, double v)
{
	char text[32];

	if (isnan(v)) {
		buf_str(b, "NaN");
		return;
	}
	if (isinf(v)) {
		buf_str(b, v > 0 ? "+Inf" : "-Inf");
		return;
	}
	snprintf(text, sizeof(text), "%.15g", v);
	if (strtod(text, NULL) != v) {
		snprintf(text, sizeof(text), "%.17g", v);
	}
	buf_str(b, text);
}

static void write_escaped(struct buf *b, const char *s, bool quotes)
{
	for (; *s; s++) {
		if (*s == '\\' || (*s == '"' && quotes)) {
			buf_char(b, '\\');
		}
		if (*s == '\n') {
			buf_str(b, "\\n");
		} else {
			buf_char(b, *s);
		}
	}
}

/* le: the bound of a bucket, or NULL. */
static void write_labels(const struct metric *row, const struct family *f, const struct series *s,
			 const double *le, struct buf *b)
{
	const char *value = s->labels;

	if (!f->n_labels && !le) {
		return;
	}
	for (size_t i = 0; i < f->n_labels; i++) {
		buf_printf(b, "%c%s=\"", i ? ',' : '{', row->labels[i]);
		write_escaped(b, value, true);
		buf_char(b, '"');
		value += strlen(value) + 1;
	}
	if (le) {
		buf_str(b, f->n_labels ? ",le=\"" : "{le=\"");
		write_number(b, *le);
		buf_char(b, '"');
	}
	buf_char(b, '}');
}

static void write_line(const struct metric *row, const struct family *f, const struct series *s,
		       const char *suffix, const double *le, double value, struct buf *b)
{
	buf_str(b, row->name);
	buf_str(b, suffix);
	write_labels(row, f, s, le, b);
	buf_char(b, ' ');
	write_number(b, value);
	buf_char(b, '\n');
}

static void write_histogram(const struct metric *row, const struct family *f,
			    const struct series *s, struct buf *b)
{
	const double infinite = INFINITY;
	uint64_t below = 0;

	for (size_t i = 0; i <= row->n_buckets; i++) {
		below += s->buckets[i];
		write_line(row, f, s, "_bucket", i < row->n_buckets ? &row->buckets[i] : &infinite,
			   (double)below, b);
	}
	write_line(row, f, s, "_sum", NULL, s->value, b);
	write_line(row, f, s, "_count", NULL, (double)below, b);
}

void metrics_write(const struct metrics *m, struct buf *b)
{
	static const char *const types[] = {"counter", "gauge", "histogram"};

	for (size_t i = 0; m && i < m->n; i++) {
		const struct metric *row = &m->table[i];
		const struct family *f = &m->families[i];

		if (!f->n) {
			continue;
		}
		buf_printf(b, "# HELP %s ", row->name);
		write_escaped(b, row->help, false);
		buf_printf(b, "\n# TYPE %s %s\n", row->name, types[row->type]);
		for (size_t k = 0; k < f->n; k++) {
			if (row->type == METRIC_HISTOGRAM) {
				write_histogram(row, f, &f->series[k], b);
			} else {
				write_line(row, f, &f->series[k], "", NULL, f->series[k].value, b);
			}
		}
	}
}
