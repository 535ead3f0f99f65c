/* SPDX-License-Identifier: Apache-2.0 */
/*
 * intern.h: one copy of each string that occurs often.
 *
 * A cluster's objects repeat the same namespaces, classes, reasons, owners' uids and GPU names
 * thousands of times. An interned string is counted: intern_get returns the one copy and adds a
 * reference, intern_drop takes one away and frees the string with the last. Two interned strings
 * are equal when their pointers are.
 */
#pragma once

#include "base/base.h"

struct intern;

struct intern *intern_create(void);
struct intern *
intern_destroy(struct intern *in); /* NULL; strings still referenced are freed as well */

const char *intern_get(struct intern *in, const char *s, size_t n);
void intern_drop(struct intern *in, const char *s); /* s from intern_get, or NULL */

size_t intern_count(const struct intern *in); /* distinct strings alive */
size_t intern_bytes(const struct intern *in); /* what they and the table take */
