/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test.h: the test kit. A test program is a table of named behaviours:
 *
 *	static void empty_buffer_has_text(void) { ... is_str(buf_text(&b), ""); }
 *	TESTS(
 *		{"an empty buffer reads as the empty string", empty_buffer_has_text},
 *	)
 *
 * Each row prints one TAP line; the first failed check of a row ends that row. `PROGRAM -l` lists
 * the rows, `PROGRAM TEXT` runs those whose name contains TEXT. The exit code is 0 only if every row
 * passed. test_skip(reason) ends a row as skipped: counted as that, never as passed.
 */
#pragma once

#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

struct test {
	const char *name;
	void (*run)(void);
};

static jmp_buf test_out_;
static int test_failed_;
static const char *test_skipped_;

attr_unused static void test_fail_(const char *file, int line, const char *what)
{
	printf("# %s:%d: %s\n", file, line, what);
	test_failed_ = 1;
	longjmp(test_out_, 1);
}

attr_unused static void test_skip(const char *reason)
{
	test_skipped_ = reason;
	longjmp(test_out_, 1);
}

attr_unused static void test_str_(const char *file, int line, const char *got, const char *want)
{
	if (str_eq(got, want)) {
		return;
	}
	printf("# got:  %s\n# want: %s\n", got ? got : "(null)", want ? want : "(null)");
	test_fail_(file, line, "strings differ");
}

attr_unused static void test_int_(const char *file, int line, int64_t got, int64_t want)
{
	if (got == want) {
		return;
	}
	printf("# got: %" PRId64 ", want: %" PRId64 "\n", got, want);
	test_fail_(file, line, "numbers differ");
}

attr_unused static void test_has_(const char *file, int line, const char *text, const char *part)
{
	if (text && strstr(text, part)) {
		return;
	}
	printf("# text: %s\n# part: %s\n", text ? text : "(null)", part);
	test_fail_(file, line, "text lacks the part");
}

#define ok(cond) ((cond) ? (void)0 : test_fail_(__FILE__, __LINE__, #cond))
#define is_str(got, want) test_str_(__FILE__, __LINE__, (got), (want))
#define is_int(got, want) test_int_(__FILE__, __LINE__, (int64_t)(got), (int64_t)(want))
#define has(text, part) test_has_(__FILE__, __LINE__, (text), (part))

attr_unused static int test_main_(const struct test *tests, size_t n, int argc, char **argv)
{
	const char *only = argc > 1 ? argv[1] : NULL;
	volatile int failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (volatile size_t i = 0; i < n; i++) {
		if (only && str_eq(only, "-l")) {
			printf("%s\n", tests[i].name);
			continue;
		}
		if (only && !strstr(tests[i].name, only)) {
			continue;
		}
		test_failed_ = 0;
		test_skipped_ = NULL;
		if (setjmp(test_out_) == 0) {
			tests[i].run();
		}
		failed |= test_failed_;
		printf("%s %zu - %s%s%s\n", test_failed_ ? "not ok" : "ok", i + 1, tests[i].name,
		       test_skipped_ ? " # SKIP " : "", test_skipped_ ? test_skipped_ : "");
	}
	return failed;
}

#define TESTS(...)                                                                                 \
	int main(int argc, char **argv)                                                            \
	{                                                                                          \
		static const struct test tests_[] = {__VA_ARGS__};                                 \
		return test_main_(tests_, ARRAY_LEN(tests_), argc, argv);                          \
	}
