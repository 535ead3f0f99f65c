/* SPDX-License-Identifier: Apache-2.0 */
/*
 * print.h: a report for a terminal: as the GPUNode object it would become, or as a table beside
 * what lspci shows.
 */
#pragma once

#include <stdio.h>

#include "base/err.h"
#include "node-daemon/status.h"

enum print_format { PRINT_YAML, PRINT_JSON, PRINT_TABLE };
#define PRINT_FORMATS "yaml|json|table" /* in the order of the enum */

/* node: metadata.name, or NULL. */
int print_status(FILE *out, const struct status *s, const char *node, enum print_format format,
		 struct err *err);
