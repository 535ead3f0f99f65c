/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A main for a fuzz target where there is no libFuzzer: runs it on each file named, and on each
 * file of the folders named: a corpus, or what a fuzzer has found. With -t NAME first it is a test
 * whose name that is: it says "ok", unless there was nothing to replay.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void replay_file(const char *path)
{
	FILE *f = fopen(path, "re");
	auto_free uint8_t *bytes = NULL;
	struct stat st;
	size_t n;

	if (!f || fstat(fileno(f), &st) < 0) {
		perror(path);
		exit(2);
	}
	/* Exactly as much as there is: reading beyond it is seen by the sanitizer. */
	bytes = xmalloc((size_t)st.st_size);
	n = fread(bytes, 1, (size_t)st.st_size, f);
	fclose(f);
	LLVMFuzzerTestOneInput(bytes, n);
}

static size_t replay(const char *path)
{
	DIR *dir = opendir(path);
	size_t n = 0;

	if (!dir) {
		replay_file(path);
		return 1;
	}
	for (struct dirent *e; (e = readdir(dir));) {
		auto_free char *file = xprintf("%s/%s", path, e->d_name);

		if (e->d_name[0] != '.') {
			replay_file(file);
			n++;
		}
	}
	closedir(dir);
	return n;
}

int main(int argc, char **argv)
{
	bool test = argc > 2 && str_eq(argv[1], "-t");
	size_t n = 0;

	for (int i = test ? 3 : 1; i < argc; i++) {
		n += replay(argv[i]);
	}
	if (test && n) {
		printf("ok 1 - %s: its corpus of %zu inputs\n", argv[2], n);
	} else {
		printf("# %zu replayed\n", n);
	}
	return test && !n;
}
