/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sample.h: a type with every kind of field, for the tests and fuzz targets of this folder.
 */
#pragma once

#include "json/scan.h"

struct sample_gpu {
	const char *name;
	int64_t count;
	struct opt_int vram;
	tri display;
};

struct sample_group {
	const char *key;
	int64_t replicas;
	LIST(struct sample_gpu) gpus;
};

struct sample {
	const char *name, *ns, *note, *pick;
	tri running;
	int64_t generation;
	struct opt_int replicas;
	const char *size;
	const struct sample_gpu *best;
	LIST(struct sample_gpu) gpus;
	LIST(struct sample_group) groups;
	LIST(const char *) args;
	LIST(int64_t) ports;
	LIST(struct pair) labels;
	const char *values;
	uint64_t fingerprint;
	LIST(struct sample_gpu) spare; /* transient: counted */
	int64_t n_spare;
	const char *version;
};

#define T struct sample_gpu
static const struct field sample_gpu_fields[] = {
	FIELD(T, name, "name", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, count, "count", TYPE_INT),
	FIELD(T, vram, "vram", TYPE_OPT_INT),
	FIELD(T, display, "display", TYPE_BOOL),
	{0},
};
static const struct type sample_gpu_type = {sizeof(T), sample_gpu_fields, NULL};
#undef T

#define T struct sample_group
static const struct field sample_group_fields[] = {
	FIELD(T, replicas, "replicas", TYPE_INT, .flags = TYPE_KEEP_ZERO),
	FIELD(T, gpus, "gpus", TYPE_OBJS, .sub = &sample_gpu_type),
	{0},
};
static const struct type sample_group_type = {sizeof(T), sample_group_fields, NULL};
#undef T

#define T struct sample
static const struct field sample_annotation_fields[] = {
	FIELD(T, note, "example.com/note", TYPE_STR),
	{0},
};
static const struct type sample_annotations = {sizeof(T), sample_annotation_fields, NULL};
static const struct field sample_metadata_fields[] = {
	FIELD(T, name, "name", TYPE_STR),
	FIELD(T, ns, "namespace", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, generation, "generation", TYPE_INT),
	FIELD(T, version, "resourceVersion", TYPE_STR, .flags = TYPE_SILENT),
	FIELD(T, labels, "labels", TYPE_MAP, .flags = TYPE_INTERN),
	FIELD_INLINE("annotations", &sample_annotations),
	{0},
};
static const struct type sample_metadata = {sizeof(T), sample_metadata_fields, NULL};
/* A second set of rows for the same object: both are read together. */
static const struct field sample_more_annotation_fields[] = {
	FIELD(T, pick, "example.com/pick", TYPE_STR),
	{0},
};
static const struct type sample_more_annotations = {sizeof(T), sample_more_annotation_fields, NULL};
static const struct field sample_more_metadata_fields[] = {
	FIELD_INLINE("annotations", &sample_more_annotations),
	{0},
};
static const struct type sample_more_metadata = {sizeof(T), sample_more_metadata_fields, NULL};
static const struct field sample_spec_fields[] = {
	FIELD(T, spare, "spare", TYPE_OBJS, .flags = TYPE_TRANSIENT, .sub = &sample_gpu_type),
	FIELD(T, n_spare, "number of spare", TYPE_INT, .flags = TYPE_DERIVED),
	FIELD(T, running, "running", TYPE_BOOL),
	FIELD(T, replicas, "replicas", TYPE_OPT_INT),
	FIELD(T, size, "size", TYPE_SCALAR, .flags = TYPE_INTERN),
	FIELD(T, best, "best", TYPE_OBJ, .sub = &sample_gpu_type),
	FIELD(T, gpus, "gpus", TYPE_OBJS, .sub = &sample_gpu_type),
	FIELD(T, groups, "groups", TYPE_DICT, .flags = TYPE_INTERN, .sub = &sample_group_type),
	FIELD(T, args, "args", TYPE_STRS, .flags = TYPE_INTERN),
	FIELD(T, ports, "ports", TYPE_INTS),
	FIELD(T, values, "values", TYPE_RAW),
	FIELD(T, fingerprint, "owned", TYPE_HASH),
	{0},
};
static const struct type sample_spec = {sizeof(T), sample_spec_fields, NULL};
static const struct field sample_fields[] = {
	FIELD_INLINE("metadata", &sample_metadata),
	FIELD_INLINE("metadata", &sample_more_metadata),
	FIELD_INLINE("spec", &sample_spec),
	{0},
};

static inline void sample_finish(void *object)
{
	struct sample *s = object;

	s->n_spare = (int64_t)s->spare.n;
}

attr_unused static const struct type sample_type = {sizeof(T), sample_fields, sample_finish};
#undef T
