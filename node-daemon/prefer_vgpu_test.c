/* SPDX-License-Identifier: Apache-2.0 */
/* Which vGPUs are preferred. */
#include "node-daemon/prefer_vgpu.h"

#include "base/test.h"

/* By letters: card and number, what is made. Card 1 is on node 0 and whole, card 2 on node 1 and has 2,
 * card 3 on node 0 and has 2, card 4 on node 1 and is whole. */
static struct pci_function cards[] = {{.address = 0x4100, .numa = 0},
				      {.address = 0x4200, .numa = 1},
				      {.address = 0x4300, .numa = 0},
				      {.address = 0x4400, .numa = 1}};
static struct unit units[] = {
	{.card = &cards[0]}, {.card = &cards[1]}, {.card = &cards[2]}, {.card = &cards[3]}};
static struct vgpu_device devices[] = {
	{{0x4100, 0}, &units[0], "t", false, true, 0},
	{{0x4100, 1}, &units[0], "t", false, true, 0},
	{{0x4100, 2}, &units[0], "t", false, true, 0},
	{{0x4200, 2}, &units[1], "t", false, true, 2},
	{{0x4200, 3}, &units[1], "t", false, true, 2},
	{{0x4300, 0}, &units[2], "t", false, true, 2},
	{{0x4300, 1}, &units[2], "t", true, true, 2},
	{{0x4300, 4}, &units[2], "t", false, true, 2},
	{{0x4400, 0}, &units[3], "t", false, true, 0},
	{{0x4400, 1}, &units[3], "t", false, true, 0},
};
static struct arena arena;
static struct err err;

/* "a b" of "1/0 2/3"; what is not known as it is. */
static size_t read_ids(const char *text, const char **to)
{
	size_t n = 0;

	while (*text) {
		size_t len = strcspn(text, " ");
		const char *one = arena_strndup(&arena, text, len);

		to[n++] = one[1] == '/' ? arena_printf(&arena, "0000:4%c:00.0/%s", one[0], one + 2)
					: one;
		text += len + (text[len] == ' ');
	}
	return n;
}

static const char *preferred(const char *available, const char *must, int64_t size)
{
	const char *from[64], *among[64], *text = "";
	struct dpapi_wish wish = {
		{from, read_ids(available, from)}, {among, read_ids(must, among)}, size};
	const struct vgpu_device_list all = {devices, ARRAY_LEN(devices)};
	struct dpapi_ids ids;

	if (prefer_vgpu(&all, &wish, &arena, &ids, &err) < 0) {
		return err.text;
	}
	is_int(ids.n, size);
	list_each(id, &ids) {
		text = arena_printf(&arena, "%s%s%s", text, *text ? " " : "",
				    str_starts(*id, "0000:4")
					    ? arena_printf(&arena, "%c/%s", (*id)[6], *id + 13)
					    : *id);
	}
	return text;
}

#define ALL "1/0 1/1 1/2 2/2 2/3 3/0 3/1 3/4 4/0 4/1"

static void tables(void)
{
	static const struct {
		const char *available, *must;
		int64_t size;
		const char *preferred;
	} rows[] = {
		{ALL, "", 0, ""},
		/* full cards first, of these what is made, then by card and number */
		{ALL, "", 1, "3/1"},
		{"1/0 2/3 2/2 3/4", "", 1, "2/2"},
		{"4/1 4/0 1/0", "", 1, "1/0"},
		/* a card that was begun is filled before the next */
		{ALL, "", 2, "3/1 3/0"},
		{ALL, "", 4, "3/1 3/0 3/4 2/2"},
		{"1/0 1/1 4/0 4/1", "", 3, "1/0 1/1 4/0"},
		/* near what is chosen, where cards are equal */
		{"2/2 2/3 3/0 3/4", "4/0", 2, "4/0 2/2"},
		{"2/2 2/3 3/0 3/4", "1/0", 2, "1/0 3/0"},
		{"1/1 4/1", "4/0", 2, "4/0 4/1"},
		{"1/0 4/0", "2/2", 2, "2/2 4/0"},
		{"1/0 4/0", "3/0", 2, "3/0 1/0"},
		/* what must be there is no reason to leave a fuller card */
		{"1/1 2/2", "1/0", 2, "1/0 2/2"},
		/* what is chosen counts, what is made already does not count again */
		{"1/2 2/3", "1/0 1/1", 3, "1/0 1/1 1/2"},
		{"2/2 3/0 3/4", "3/1", 2, "3/1 3/0"},
		{"2/3 3/4", "2/2 3/1", 3, "2/2 3/1 2/3"},
		/* what nobody knows comes last; twice is once */
		{"z 4/1 x", "", 3, "4/1 x z"},
		{"4/1 4/1 4/0", "4/0", 2, "4/0 4/1"},
		{"1/9 4/1", "", 1, "4/1"},
		{"x", "y", 2, "y x"},
		{"4/0", "", -1, "0 devices must be among -1"},
		{"4/0", "4/1 4/0", 1, "2 devices must be among 1"},
		{"4/0 4/0", "", 2, "2 devices are wanted, and 1 are there"},
		{"", "", 0, ""},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		arena_finish(&arena);
		arena_init(&arena, MiB);
		is_str(preferred(rows[i].available, rows[i].must, rows[i].size), rows[i].preferred);
	}
}

static void in_any_order(void)
{
	arena_finish(&arena);
	arena_init(&arena, MiB);
	is_str(preferred("4/1 3/4 2/3 1/2 4/0 3/1 2/2 1/1 3/0 1/0", "", 6), preferred(ALL, "", 6));
}

static void nothing_is_known(void)
{
	const char *ids[] = {"b", "a"};
	const struct dpapi_wish wish = {{ids, 2}, {NULL, 0}, 1};
	struct dpapi_ids got;

	is_int(prefer_vgpu(&(struct vgpu_device_list){0}, &wish, &arena, &got, &err), 0);
	is_int(got.n, 1);
	is_str(got.items[0], "a");
}

TESTS({"cards are filled, and what must be there is", tables},
      {"the order of the question is nothing", in_any_order},
      {"of what nobody knows, by name", nothing_is_known})
