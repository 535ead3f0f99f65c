/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_tree.h: a kubeconfig file as a tree of YAML (JSON is YAML), read field by field. Private
 * to config*.c.
 *
 * Every reader returns 0 with *ret NULL (false, an absent node) when the field is missing or null,
 * and -1 with a sentence that names file, line, entry and field when it is of the wrong kind or
 * appears twice. Strings are lent by the file.
 */
#pragma once

#include <yaml.h>

#include "base/err.h"

struct config_file {
	char *path, *dir; /* dir: what relative paths in it are relative to */
	yaml_document_t doc;
	bool parsed;
};

/* One map or list within a file; node NULL: absent. label: `user "u"`, for sentences; lent. */
struct config_node {
	struct config_file *file;
	yaml_node_t *node;
	const char *label;
};

/* text is one YAML document whose root is a map, or nothing at all (an empty config, as kubectl
 * takes it). */
int config_file_parse(struct config_file *f, const char *path, const char *text, size_t n,
		      struct err *err);
void config_file_finish(struct config_file *f);
struct config_node config_file_root(struct config_file *f);

/* A sentence about a field: "FILE:LINE: LABEL: FIELD: ...". */
int config_node_bad(const struct config_node *n, const char *field, struct err *err,
		    const char *format, ...) attr_printf(4, 5);

int config_node_text(const struct config_node *n, const char *field, const char **ret,
		     struct err *err);
int config_node_bool(const struct config_node *n, const char *field, bool *ret, struct err *err);
int config_node_map(const struct config_node *n, const char *field, struct config_node *ret,
		    struct err *err);
int config_node_list(const struct config_node *n, const char *field, struct config_node *ret,
		     struct err *err);

/* Of a list: its length and its items. Of a map: its length, keys and values. */
size_t config_node_length(const struct config_node *n);
struct config_node config_node_item(const struct config_node *n, size_t i);
int config_node_key(const struct config_node *n, size_t i, const char **ret,
		    struct config_node *ret_value, struct err *err);
/* The node itself as a string; NULL when it is no scalar. */
const char *config_node_scalar(const struct config_node *n);

/* The node as compact JSON, as sigs.k8s.io/yaml would convert it: for an exec plugin's
 * cluster.config. max bytes, depth 32. */
int config_node_json(const struct config_node *n, size_t max, char **ret, struct err *err);
