/* SPDX-License-Identifier: Apache-2.0 */
/* journal_records_test.h: a journal in memory, for tests of single kinds of records. */
#pragma once

#include "base/test.h"
#include "node-daemon/journal.h"

static struct journal j;
static struct buf file;

static void append(const struct journal_record *r)
{
	struct err err = {""};
	size_t from = file.len;

	is_int(journal_line(&j, r, &file, &err), 0);
	journal_note(&j, file.bytes + from, file.len - from);
	is_int(j.size, file.len);
}

/* A new one, with its head. */
static void begin(void)
{
	static const struct journal_head head = {JOURNAL_VERSION, "node1", "boot-1"};

	journal_finish(&j);
	journal_init(&j);
	buf_finish(&file);
	buf_init(&file, JOURNAL_MAX_BYTES);
	append(&(struct journal_record){.head = &head});
}

/* As after a start. */
static void reread(void)
{
	journal_finish(&j);
	journal_init(&j);
	journal_read(file.bytes, file.len, &j);
	is_str(j.trouble, "");
	is_int(j.health, JOURNAL_GOOD);
}
