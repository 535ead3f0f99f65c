/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_inner.h: what a record is: its tables, and which values of them are none. Private to journal.c
 * and journal_record.c.
 */
#pragma once

#include "node-daemon/journal.h"

extern const struct type journal_record_type;

/* -1: no record that may be written, or believed when it is read. */
int journal_check(const struct journal_record *r, struct err *err);
/* n lower-case hex digits. */
bool journal_hex(const char *bytes, size_t n);
