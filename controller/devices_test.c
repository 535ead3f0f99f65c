/* SPDX-License-Identifier: Apache-2.0 */
/* spec.gpus[] -> entries: which list, which display, and how many, row by row. */
#include "controller/devices.h"

#include "base/test.h"
#include "controller/kinds.h"

#define WHOLE "example.com/WHOLE"
#define OTHER "example.com/OTHER"
#define Q "nvidia.com/NVIDIA_L40S-8Q"
#define B "nvidia.com/NVIDIA_L40S-2B"
#define C "nvidia.com/NVIDIA_L40S-8C"
#define MOST 4 /* requests of a row */

#define ON "{\"display\":{\"enabled\":true}}"
#define OFF "{\"display\":{\"enabled\":false}}"
#define ON_NO_FB "{\"display\":{\"enabled\":true,\"ramFB\":{\"enabled\":false}}}"
#define NO_FB "{\"display\":{\"ramFB\":{\"enabled\":false}}}"

static struct arena arena;
static struct cache *c;
static struct pass pass;
static struct inventory inventory;
static struct cr cr;
static struct gpus asked;

static void begin(bool gate)
{
	arena_finish(&arena);
	arena_init(&arena, 16 * MiB);
	cache_destroy(c);
	c = cache_create(controller_kinds);
	pass = (struct pass){.arena = &arena, .cache = c};
	inventory = (struct inventory){.pass = &pass};
	cr = (struct cr){.gate = gate};
	asked = (struct gpus){.pass = &pass, .inventory = &inventory, .cr = &cr};
}

static struct devices make(struct gpu_request *requests, const struct devices_before *before)
{
	struct gpu_request_list l = {.items = requests};

	while (l.n < MOST && requests[l.n].name) {
		l.n++;
	}
	return devices_make(&l, before, &asked);
}

/* A machine that was written with these names keeps its lists; a new one follows the gate. */
static void the_list_of_a_whole_gpu(void)
{
	static const struct {
		bool gate, made;
		const char *gpus[2], *host[2];
		bool want_host;
	} rows[] = {
		{true, false, {0}, {0}, true},	       {false, false, {0}, {0}, false},
		{true, true, {0}, {0}, true},	       {false, true, {0}, {0}, false},
		{false, true, {0}, {WHOLE}, true},     {true, true, {WHOLE}, {0}, false},
		{false, true, {0}, {OTHER}, true},     {false, true, {0}, {OTHER, WHOLE}, true},
		{true, true, {OTHER}, {0}, false},     {true, true, {OTHER, WHOLE}, {0}, false},
		{true, true, {Q}, {0}, true},	       {false, true, {Q}, {0}, false},
		{true, true, {Q, OTHER}, {0}, false},  {true, true, {OTHER, Q}, {0}, false},
		{true, true, {WHOLE}, {OTHER}, false}, {true, true, {OTHER}, {WHOLE}, true},
		{false, true, {Q}, {OTHER}, true},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct gpu_request requests[MOST] = {{.name = WHOLE}, {.name = Q}};
		struct kv_gpu gpus[2], host[2];
		struct kv_gpu_list in_gpus = {.items = gpus}, in_host = {.items = host};
		const struct devices_before before = {&in_gpus, &in_host};
		struct devices all;

		for (size_t k = 0; k < 2; k++) {
			if (rows[i].gpus[k]) {
				gpus[in_gpus.n++] = (struct kv_gpu){"g", rows[i].gpus[k]};
			}
			if (rows[i].host[k]) {
				host[in_host.n++] = (struct kv_gpu){"h", rows[i].host[k]};
			}
		}
		begin(rows[i].gate);
		all = make(requests, rows[i].made ? &before : NULL);
		is_int(all.n, 2);
		is_int(all.items[0].host_device, rows[i].want_host);
		is_int(all.items[1].host_device, false);
		is_int(asked.host_devices, rows[i].want_host);
	}
}

/* Options exist in the list gpus only, and one resource stands in one list. */
static void options_keep_all_of_their_name_in_gpus(void)
{
	struct gpu_request requests[MOST] = {
		{.name = WHOLE}, {.name = OTHER}, {.name = WHOLE, .virtual_gpu_options = "{}"}};
	struct devices all;

	begin(true);
	all = make(requests, NULL);
	is_int(all.n, 3);
	is_int(all.items[0].host_device, false);
	is_int(all.items[1].host_device, true);
	is_int(all.items[2].host_device, false);
	is_int(all.items[2].display_options, false);
	requests[2].virtual_gpu_options = "no JSON";
	begin(true);
	all = make(requests, NULL);
	is_int(all.items[0].host_device, true);
}

/* What is shown of each, display and ramFB, as two digits. */
static void one_display_at_most(void)
{
	static const struct {
		struct gpu_request requests[MOST];
		const char *shown, *refused;
	} rows[] = {
		{{{.name = Q}}, "11", NULL},
		{{{.name = B}}, "11", NULL},
		{{{.name = C}}, "00", NULL},
		{{{.name = WHOLE}}, "00", NULL},
		{{{.name = WHOLE}, {.name = Q}}, "00 11", NULL},
		{{{.name = Q}, {.name = Q}}, "11 00", NULL},
		{{{.name = Q}, {.name = Q}, {.name = Q}}, "11 00 00", NULL},
		{{{.name = Q}, {.name = Q, .virtual_gpu_options = ON}}, "00 11", NULL},
		{{{.name = Q, .virtual_gpu_options = ON}, {.name = Q}}, "11 00", NULL},
		{{{.name = Q, .virtual_gpu_options = OFF}}, "00", NULL},
		{{{.name = Q, .virtual_gpu_options = OFF}, {.name = Q}}, "00 00", NULL},
		{{{.name = Q, .virtual_gpu_options = ON_NO_FB}}, "10", NULL},
		{{{.name = Q, .virtual_gpu_options = NO_FB}}, "10", NULL},
		{{{.name = Q, .virtual_gpu_options = "{}"}}, "11", NULL},
		{{{.name = Q, .virtual_gpu_options = "no JSON"}}, "11", NULL},
		{{{.name = C, .virtual_gpu_options = ON}}, "11", NULL},
		{{{.name = WHOLE, .virtual_gpu_options = ON}, {.name = Q}}, "11 00", NULL},
		{{{.name = Q, .virtual_gpu_options = ON},
		  {.name = Q, .virtual_gpu_options = ON_NO_FB}},
		 "11 10",
		 NULL},
		{{{.name = Q, .virtual_gpu_options = ON}, {.name = Q, .virtual_gpu_options = ON}},
		 "11 11",
		 "gpus[1] asks for a second display"},
		{{{.name = Q, .virtual_gpu_options = ON},
		  {.name = Q},
		  {.name = Q, .virtual_gpu_options = ON},
		  {.name = Q, .virtual_gpu_options = ON}},
		 "11 00 11 11",
		 "gpus[2] asks for a second display"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct gpu_request requests[MOST];
		const char *shown = "";
		struct devices all;
		struct verdict v;

		memcpy(requests, rows[i].requests, sizeof(requests));
		begin(true);
		all = make(requests, NULL);
		list_each(d, &all) {
			shown = arena_printf(&arena, "%s%s%d%d", shown, *shown ? " " : "", d->show,
					     d->show_fb);
		}
		is_str(shown, rows[i].shown);
		v = devices_check(&all, "gpus", NULL, &arena);
		is_str(v.reason, rows[i].refused ? "SeveralDisplays" : NULL);
		if (rows[i].refused) {
			has(v.message, rows[i].refused);
		}
	}
}

static void several_vgpus_are_of_the_q_series(void)
{
	static const struct {
		const char *names[MOST], *refused;
	} rows[] = {
		{{0}, NULL},
		{{B}, NULL},
		{{C}, NULL},
		{{Q, Q, Q}, NULL},
		{{B, WHOLE, WHOLE}, NULL},
		{{WHOLE, WHOLE}, NULL},
		{{B, Q}, "gpus[0] is " B},
		{{Q, B}, "gpus[1] is " B},
		{{Q, C, B}, "gpus[1] is " C},
		{{WHOLE, C, C}, "gpus[1] is " C},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct gpu_request requests[MOST] = {0};
		struct devices all;
		struct verdict v;

		for (size_t k = 0; k < MOST; k++) {
			requests[k].name = rows[i].names[k];
		}
		begin(true);
		all = make(requests, NULL);
		v = devices_check(&all, "gpus", NULL, &arena);
		is_str(v.reason, rows[i].refused ? "SeveralVGPUs" : NULL);
		if (rows[i].refused) {
			has(v.message, rows[i].refused);
		}
	}
}

/* KubeVirt allows devices in one place only. */
static void a_type_with_gpus_of_its_own(void)
{
	struct kv_gpu one = {"g", WHOLE};
	struct gpu_request requests[MOST] = {{.name = WHOLE}}, none[MOST] = {0};
	struct kv_instancetype types[] = {{.obj = {.name = "plain"}},
					  {.obj = {.name = "gpus"}, .gpus = {&one, 1}},
					  {.obj = {.name = "host"}, .host_devices = {&one, 1}}};

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct devices all;

		begin(true);
		all = make(requests, NULL);
		is_str(devices_check(&all, "gpus", &types[i], &arena).reason,
		       i ? "InstanceTypeHasGPUs" : NULL);
		all = make(none, NULL);
		is_str(devices_check(&all, "gpus", &types[i], &arena).reason, NULL);
	}
}

static void as_many_as_a_machine_takes(void)
{
	static const struct {
		struct opt_int first, second;
		size_t n;
		int64_t of_first, of_second;
	} rows[] = {
		{{0}, {0}, 2, 1, 1},
		{{0, true}, {3, true}, 3, 0, 3},
		{{2, true}, {0}, 3, 2, 1},
		{{62, true}, {0}, 63, 62, 1},
		{{63, true}, {0}, 64, 63, 1},
		{{64, true}, {0}, 64, 64, 0},
		{{1000, true}, {1, true}, 64, 64, 0},
		{{40, true}, {40, true}, 64, 40, 24},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct gpu_request requests[MOST] = {{.name = WHOLE, .count = rows[i].first},
						     {.name = OTHER, .count = rows[i].second}};
		struct devices all;

		begin(true);
		all = make(requests, NULL);
		is_int(all.n, rows[i].n);
		is_int(gpus_count(&asked, WHOLE), rows[i].of_first);
		is_int(gpus_count(&asked, OTHER), rows[i].of_second);
		for (size_t k = 0; k < all.n; k++) {
			is_int(all.items[k].index, k >= (size_t)rows[i].of_first);
		}
	}
}

TESTS({"a machine keeps the list of its whole GPUs, a new one follows the gate",
       the_list_of_a_whole_gpu},
      {"options keep all entries of their name in gpus", options_keep_all_of_their_name_in_gpus},
      {"one display at most, on the entry that asks for it", one_display_at_most},
      {"several vGPUs are of the Q series", several_vgpus_are_of_the_q_series},
      {"GPUs beside an instance type that has some are refused", a_type_with_gpus_of_its_own},
      {"a machine takes 64, in the order of the manifest", as_many_as_a_machine_takes})
