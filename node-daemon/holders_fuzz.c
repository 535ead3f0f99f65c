/* SPDX-License-Identifier: Apache-2.0 */
/* holders_fuzz.c: bytes as texts of /proc and /sys. What is found lies in them, and the memory that they
 * end in is not left. */
#include <stdlib.h>
#include <string.h>

#include "node-daemon/holders.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *text_of(const uint8_t *data, size_t size)
{
	char *text = xmalloc(size + 1); /* of its own: one byte too far is noticed */

	memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

static void read_map(const char *text, size_t size)
{
	auto_free char *line = text_of((const uint8_t *)text, size);
	struct holders_map m;

	if (holders_map(line, &m) == 0) {
		if (*m.path && (m.path < line || m.path > line + size)) {
			abort();
		}
		(void)holders_map_matters(&m);
		(void)holders_is_node_name(m.path);
		(void)holders_is_vfio_device(m.path);
	}
}

static void hold(const char *text, struct arena *a)
{
	static uint64_t function = 0x4100;
	struct holders_unit u = {.functions = {&function, 1}, .doubt = "", .held = ""};
	struct holders_process p;
	uint64_t number;

	holders_add(&u, holders_number(240, 7), true);
	holders_process("7", text, a, &p);
	if (holders_dev(text, &number) == 0) {
		holders_add(&u, number, false);
		holders_node(&p, number, &u, 1, a);
		if (!*u.held) {
			abort();
		}
	}
	holders_vfio(&p, holders_syspath(text, a), &u, 1, a);
	holders_process_end(&p, &u, 1, a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *text = text_of(data, size);
	attr_cleanup(arena_finish) struct arena a;
	uint32_t n;

	arena_init(&a, 16 * MiB);
	(void)holders_nvidia_minor(text, &n);
	(void)holders_nvidia_major(text, &n);
	(void)holders_is_usb_device(text);
	(void)holders_driver(text);
	(void)holders_path_has(text, 0x4100);
	read_map(text, size);
	hold(text, &a);
	return 0;
}
