/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml.h: YAML documents to JSON trees and back, as kubectl reads and prints them.
 *
 * Reading: many documents, aliases, YAML 1.1 plain scalars the way sigs.k8s.io/yaml takes them
 * (true/false, null and ~, integers, floats; "yes" and "on" stay strings, as in its JSON-compatible
 * mode). A duplicate key is an error. Errors name file, line and column. Aliases are expanded,
 * bounded by YAML_MAX_NODES (a "billion laughs" file ends with an error). Writing: block style,
 * keys in insertion order, strings quoted only where they would read back as something else.
 */
#pragma once

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"

#define YAML_MAX_NODES 1000000
#define YAML_MAX_DEPTH 64

/* All documents of the text as one JSON array (empty documents left out); a new reference, NULL on
 * failure. */
json_t *yaml_read(const char *name, const char *text, size_t n, struct err *err);
/* The same from a file; "-" is standard input. At most 64 MiB. */
json_t *yaml_read_file(const char *path, struct err *err);

void yaml_write(const json_t *value, struct buf *out);
