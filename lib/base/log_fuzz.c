/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_fuzz.c: bytes as the words of others in a log line: up to two values. The line is one line of
 * JSON whatever they hold, no longer than it may be; and a token behind "Bearer" is not in it.
 */
#include "base/log.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
	if (!good) {
		abort();
	}
}

static int line_fd = -1;

static void line_in(char *ret, size_t size, size_t *ret_n)
{
	ssize_t n = pread(line_fd, ret, size - 1, 0);

	check(n > 0 && ftruncate(line_fd, 0) == 0 && lseek(line_fd, 0, SEEK_SET) == 0);
	ret[n] = '\0';
	*ret_n = (size_t)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *a = xstrndup((const char *)data, size), *b = NULL;
	char line[LOG_LINE_MAX + 1];
	json_t *o;
	size_t n;

	b = xstrdup(strchr(a, '\n') ? strchr(a, '\n') + 1 : "");
	if (line_fd < 0) {
		line_fd = memfd_create("log", MFD_CLOEXEC);
		log_setup(LOG_LEVEL_DEBUG, line_fd, "fuzz");
	}
	log_info("said", log_str("a", a), log_str("b", b), log_str("c", "Bearer s3cr3tt0k3n"));
	line_in(line, sizeof(line), &n);
	o = json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL);
	check(o && line[n - 1] == '\n' && strchr(line, '\n') == line + n - 1);
	check(str_eq(json_string_value(json_object_get(o, "msg")), "said"));
	check(!strstr(line, "s3cr3tt0k3n") || strstr(a, "s3cr3tt0k3n"));
	json_decref(o);
	return 0;
}
