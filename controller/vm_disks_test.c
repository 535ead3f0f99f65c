/* SPDX-License-Identifier: Apache-2.0 */
/* None, one, several and too many disks, in each state that CDI knows. */
#include "controller/vm.h"

#include "base/buf.h"
#include "base/test.h"
#include "controller/kinds.h"

static struct arena arena;
static struct cache *c;
static struct pass pass;
static struct vm_app app;
static struct vm_seen s;

/* A VMInstance without disks, in a cluster where CDI is. */
static void begin(void)
{
	arena_finish(&arena);
	arena_init(&arena, 16 * MiB);
	cache_destroy(c);
	c = cache_create(controller_kinds);
	pass = (struct pass){.arena = &arena, .cache = c};
	app = (struct vm_app){.obj = {.ns = "t", .name = "a"}};
	s = (struct vm_seen){
		.pass = &pass,
		.app = &app,
		.child = {.kind = &kind_vm_instance,
			  .owner = &app.obj,
			  .app = "vm-instance",
			  .name = "vm-instance-a"},
		.is_instance = true,
		.cdi_served = true,
	};
}

/* The DataVolume of a VMDisk; phase NULL: there is none. */
static void disk(const char *name, const char *phase, const char *progress)
{
	const struct kv_data_volume d = {
		.obj = {.ns = "t", .name = arena_printf(&arena, "vm-disk-%s", name), .rv = "1"},
		.phase = phase,
		.progress = progress,
	};

	if (phase) {
		cache_put(c, &kind_data_volume, &d);
	}
}

static void as_many_as_a_vm_takes(void)
{
	static const size_t sizes[] = {0, 1, 2, 3, 63, 64, 65, 66};

	for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
		auto_buf struct buf text = {.max = 64 * KiB};

		begin();
		buf_char(&text, '[');
		for (size_t i = 0; i < sizes[k]; i++) {
			buf_printf(&text, "%s\"d%zu\"", i ? "," : "", i);
		}
		buf_char(&text, ']');
		s.spec.disks = buf_text(&text);
		vm_disks_gather(&s);
		is_int(s.n_disks, MIN(sizes[k], 64));
		for (size_t i = 0; i < s.n_disks; i++) {
			is_str(s.disks[i].name, arena_printf(&arena, "d%zu", i));
			is_str(s.disks[i].volume, arena_printf(&arena, "vm-disk-d%zu", i));
		}
		is_str(s.accepted.reason, sizes[k] > 64 ? "InvalidDisk" : NULL);
		if (sizes[k] > 64) {
			has(s.accepted.message, "disks[64] (d64) is one too many");
		}
	}
}

static void the_first_that_is_wrong_is_said(void)
{
	static const char *const rows[][2] = {
		{"[\"a\",\"b\",\"a\"]", "disks[2] is a once more"},
		{"[\"a\",\"b\",\"b\",\"a\"]", "disks[2] is b once more"},
		{"[{\"name\":\"a\"},\"a\"]", "disks[1] is a once more"},
		{"[\"\"]", "disks[0] names no VMDisk"},
		{"[\"a\",{}]", "disks[1] names no VMDisk"},
		{"[\"a\",{\"bus\":\"sata\"},\"a\"]", "disks[1] names no VMDisk"},
		{"[\"a\",1]", "disks[1] names no VMDisk"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin();
		s.spec.disks = rows[i][0];
		vm_disks_gather(&s);
		is_str(s.accepted.reason, "InvalidDisk");
		has(s.accepted.message, rows[i][1]);
	}
}

/* Three disks, of which each in turn is in each state, the others ready. */
static void the_worst_disk_is_said(void)
{
	static const struct {
		const char *phase, *progress, *reason, *said;
		bool waits;
	} rows[] = {
		{"Succeeded", NULL, "Ready", "all disks are there", false},
		{NULL, NULL, "DiskMissing", "there is no VMDisk %s in", true},
		{"Failed", NULL, "Failed", "%s could not be filled", false},
		{"UploadReady", NULL, "WaitingForUpload", "%s waits for its content", false},
		{"UploadScheduled", NULL, "WaitingForUpload", "%s waits for its content", false},
		{"ImportInProgress", "42.37%", "Provisioning", "%s is being filled (42 %%)", false},
		{"ImportInProgress", "N/A", "Provisioning", "%s is being filled", false},
		{"Pending", NULL, "Provisioning", "%s is being filled", false},
	};
	static const char *const names[] = {"a", "b", "c"};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t bad = 0; bad < ARRAY_LEN(names); bad++) {
			auto_free char *said = xprintf("%s", rows[i].said);
			char *at = strstr(said, "%s");
			struct verdict v;

			begin();
			for (size_t k = 0; k < ARRAY_LEN(names); k++) {
				disk(names[k], k == bad ? rows[i].phase : "Succeeded",
				     k == bad ? rows[i].progress : NULL);
			}
			s.spec.disks = "[\"a\",\"b\",\"c\"]";
			vm_disks_gather(&s);
			v = vm_disks_ready(&s);
			is_str(v.reason, rows[i].reason);
			is_int(vm_disks_wait(&s), rows[i].waits);
			if (at) {
				auto_free char *rest = xstrdup(at + 2);
				char *percents = strstr(rest, "%%");

				if (percents) {
					memmove(percents, percents + 1, strlen(percents));
				}
				*at = '\0';
				has(v.message,
				    arena_printf(&arena, "%s%s%s", said, names[bad], rest));
			} else {
				has(v.message, said);
			}
		}
	}
}

/* Of several that are not ready the worst, of equals the first. */
static void worse_goes_before_bad(void)
{
	static const char *const phases[] = {NULL, "Failed", "UploadReady", "Pending", "Succeeded"};
	static const char *const reasons[] = {"DiskMissing", "Failed", "WaitingForUpload",
					      "Provisioning", "Ready"};

	for (size_t i = 0; i < ARRAY_LEN(phases) * ARRAY_LEN(phases); i++) {
		size_t x = i / ARRAY_LEN(phases), y = i % ARRAY_LEN(phases);
		struct verdict v;

		begin();
		disk("first", phases[x], NULL);
		disk("second", phases[y], NULL);
		s.spec.disks = "[\"first\",\"second\"]";
		vm_disks_gather(&s);
		v = vm_disks_ready(&s);
		is_str(v.reason, reasons[MIN(x, y)]);
		if (MIN(x, y) < 4) {
			has(v.message, x <= y ? "first" : "second");
		}
		s.cdi_served = false;
		is_str(vm_disks_ready(&s).reason, "CDIMissing");
	}
	begin();
	vm_disks_gather(&s);
	is_str(vm_disks_ready(&s).status, NULL);
}

static void order_of_boot(void)
{
	for (int system = 0; system < 2; system++) {
		json_t *spec = json_object(), *disks = json_array(), *volumes = json_array();
		static const struct system_disk plain;

		begin();
		s.spec.system_disk = system ? &plain : NULL;
		s.spec.disks = "[\"a\",\"b\",\"c\"]";
		vm_disks_gather(&s);
		vm_disks_write(&s, spec, disks, volumes);
		is_int(json_array_size(disks), 3 + system);
		is_int(json_array_size(volumes), 3 + system);
		for (int i = 0; i < 3 + system; i++) {
			is_int(json_integer_value(json_object_get(json_array_get(disks, (size_t)i),
								  "bootOrder")),
			       i + 1);
		}
		json_decref(spec);
		json_decref(disks);
		json_decref(volumes);
	}
}

TESTS({"a VM takes 64 disks", as_many_as_a_vm_takes},
      {"the first entry that is wrong is said", the_first_that_is_wrong_is_said},
      {"a disk that is not ready is said, wherever it stands", the_worst_disk_is_said},
      {"of several the worst is said, of equals the first", worse_goes_before_bad},
      {"disks boot in their order, the system disk first", order_of_boot})
