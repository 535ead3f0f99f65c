/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw JSON of a spec with a NUL, and such as jansson cannot hold: nothing of it is lost in silence.
 * The objects are as the scanner hands them out, since no tree can have some of these texts.
 */
#include "controller/plan_cluster.h"
#include "controller/plan_vm.h"
#include "controller/spec_world.h"

#define UNREADABLE                                                                                 \
	" cannot be read (a key has \\u0000, a number is beyond 64 bits, or it nests deeper than 2048)"
#define STAYS ": mend it; until then what was made for this object stays as it is"

static void one_pass(const struct reconciler *r)
{
	const struct pass pass = {.arena = &arena,
				  .cache = c,
				  .kind = r->primary,
				  .key = {"t", "k"},
				  .options = &options};

	plan_init(&plan, &arena, c);
	r->plan(r->gather(&pass), &plan);
}

/* --- a cluster -------------------------------------------------------------------------------- */

/* "[[[1]]]". To be freed. */
static char *nested(size_t levels)
{
	char *text = xmalloc(2 * levels + 2);

	memset(text, '[', levels);
	text[levels] = '1';
	memset(text + levels + 1, ']', levels);
	text[2 * levels + 1] = '\0';
	return text;
}

/* As the scanner hands it out: jansson cannot make such an object. */
static void look_at_cluster(const char *spec)
{
	const struct cluster_app app = {
		.obj = {.ns = "t", .name = "k", .uid = "u", .rv = "1"},
		.spec = spec,
	};

	begin(NULL);
	cache_put(c, &kind_kubernetes, &app);
	one_pass(&reconcile_kubernetes);
}

/* A NUL in a text is part of it. */
static void a_nul_in_a_field(void)
{
	static const char *const parts[][2] = {
		{"{\"apiServer\":{\"extraArgs\":[\"--a=b\\u0000c\"]}}", "spec/apiServer/extraArgs"},
		{"{\"apiServer\":{\"extraVolumeMounts\":[\"--a=b\\u0000c\"]}}",
		 "spec/apiServer/extraVolumeMounts"},
		{"{\"controllerManager\":{\"resources\":{\"limits\":{\"cpu\":[\"--a=b\\u0000c\"]}}}}",
		 "spec/controllerManager/resources/limits/cpu"},
		{"{\"konnectivity\":{\"server\":{\"resources\":{\"requests\":{\"cpu\":"
		 "[\"--a=b\\u0000c\"]}}}}}",
		 "spec/addons/konnectivity/server/resources/requests/cpu"},
	};

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		auto_free char *spec = xprintf("{\"controlPlane\":%s}", parts[i][0]);

		look_at_cluster(spec);
		is_str(at("KamajiControlPlane", parts[i][1]), "[\"--a=b\\u0000c\"]");
	}
	look_at_cluster("{\"addons\":{\"gpuOperator\":{\"enabled\":true,\"valuesOverride\":{\"a\":"
			"\"b\\u0000c\"}}}}");
	is_str(at("HelmRelease", "spec/values"), "{\"a\":\"b\\u0000c\"}");
	look_at_cluster("{\"addons\":{\"a\":{\"x\":\"\\u0000\"}}}");
	is_str(condition("Accepted", "message"), "accepted without effect: addons.a.x");
	look_at_cluster("{\"nodeGroups\":{\"g\":{\"ephemeralStorage\":{\"size\":\"30Gi\",\"x\":"
			"\"\\u0000\"}}}}");
	is_str(condition("Accepted", "reason"), "Accepted");
	look_at_cluster("{\"nodeGroups\":{\"g\":{\"ephemeralStorage\":\"30Gi\\u0000x\"}}}");
	is_str(condition("Accepted", "message"),
	       "accepted without effect: nodeGroups.g.ephemeralStorage (is neither a quantity nor "
	       "{size: quantity})");
}

static void a_field_that_cannot_be_read(void)
{
	static const struct {
		const char *before, *after, *field; /* the value */
	} rows[] = {
		{"{\"controlPlane\":{\"apiServer\":{\"extraArgs\":", "}}}",
		 "controlPlane.apiServer.extraArgs"},
		{"{\"controlPlane\":{\"apiServer\":{\"extraVolumeMounts\":", "}}}",
		 "controlPlane.apiServer.extraVolumeMounts"},
		{"{\"controlPlane\":{\"scheduler\":{\"resources\":{\"requests\":", "}}}}",
		 "controlPlane.scheduler.resources.requests"},
		{"{\"controlPlane\":{\"konnectivity\":{\"server\":{\"resources\":{\"limits\":",
		 "}}}}}", "controlPlane.konnectivity.server.resources.limits"},
		{"{\"addons\":{\"gpuOperator\":{\"enabled\":true,\"valuesOverride\":", "}}}",
		 "addons.gpuOperator.valuesOverride"},
		{"{\"plugins\":{\"gpu-operator\":{\"enabled\":true,\"valuesOverride\":", "}}}",
		 "plugins.gpu-operator.valuesOverride"},
		{"{\"nodeGroups\":{\"g\":{\"ephemeralStorage\":", "}}}",
		 "nodeGroups.g.ephemeralStorage"},
	};
	auto_free char *deep = nested(JSON_PARSER_MAX_DEPTH + 1);
	const char *const values[] = {"{\"a\":{\"b\\u0000\":1}}", "{\"a\":100000000000000000000}",
				      deep};

	for (size_t i = 0; i < ARRAY_LEN(rows) * ARRAY_LEN(values); i++) {
		size_t row = i / ARRAY_LEN(values);
		auto_free char *spec = xprintf("%s%s%s", rows[row].before,
					       values[i % ARRAY_LEN(values)], rows[row].after);

		look_at_cluster(spec);
		is_str(condition("Accepted", "reason"), "Unreadable");
		is_str(condition("Accepted", "message"),
		       arena_printf(&arena, "%s" UNREADABLE STAYS, rows[row].field));
		is_int(plan.n, 1);
	}
}

/* Beside the lists, three objects and the number are levels of addons. */
static void a_field_that_nests_as_deep_as_may_be(void)
{
	auto_free char *deep = nested(JSON_PARSER_MAX_DEPTH - 4);
	auto_free char *spec = xprintf("{\"addons\":{\"gpuOperator\":{\"enabled\":true,"
				       "\"valuesOverride\":{\"a\":%s}}}}",
				       deep);

	look_at_cluster(spec);
	is_str(condition("Accepted", "reason"), "Accepted");
	is_str(at("HelmRelease", "spec/values/a"), deep);
}

/* Nobody acts on them: they are named, and the rest is made. */
static void an_addon_that_cannot_be_read(void)
{
	look_at_cluster("{\"addons\":{\"a\":{\"x\\u0000\":1}},\"plugins\":{\"b\":{\"y\":1e999}}}");
	is_str(condition("Accepted", "message"),
	       "accepted without effect: addons" UNREADABLE ", plugins" UNREADABLE);
	is_str(at("KamajiControlPlane", "spec/replicas"), "2");
}

/* --- a VM ------------------------------------------------------------------------------------- */

static void look_at_vm(const char *spec)
{
	const struct vm_app app = {
		.obj = {.ns = "t", .name = "k", .uid = "u", .rv = "1"},
		.spec = spec,
	};

	begin("{apiVersion: instancetype.kubevirt.io/v1beta1, kind: "
	      "VirtualMachineClusterInstancetype, metadata: {name: u1.medium}}\n---\n"
	      "{apiVersion: instancetype.kubevirt.io/v1beta1, kind: "
	      "VirtualMachineClusterPreference, metadata: {name: ubuntu}}");
	cache_put(c, &kind_vm_instance, &app);
	one_pass(&reconcile_vm_instance);
}

/* No name, bus or port ends at a NUL, and what stands beside one is there. */
static void a_nul_in_a_vm(void)
{
	look_at_vm("{\"disks\":[\"root\",\"data\\u0000x\"]}");
	is_str(condition("Accepted", "reason"), "InvalidDisk");
	is_str(condition("Accepted", "message"),
	       "disks[1] names no VMDisk: write its name, or {name, bus}");
	look_at_vm("{\"disks\":[{\"name\":\"root\",\"bus\":\"scsi\\u0000\"}]}");
	is_str(condition("Accepted", "message"),
	       "accepted without effect: disks[0].bus (is no text)");
	is_str(condition("DisksReady", "message"),
	       "there is no VMDisk root in this namespace: make it");
	look_at_vm("{\"external\":true,\"externalPorts\":[80,\"\\u0000\"]}");
	is_str(at("Service", "spec/ports"), "[{\"name\":\"port-80\",\"port\":80,\"protocol\":"
					    "\"TCP\",\"targetPort\":80}]");
}

static void a_field_of_a_vm_that_cannot_be_read(void)
{
	static const char *const rows[][2] = {
		{"{\"disks\":[{\"name\":\"root\",\"b\\u0000\":1}]}", "disks"},
		{"{\"disks\":[\"root\",100000000000000000000]}", "disks"},
		{"{\"external\":true,\"externalPorts\":[80,1e999]}", "externalPorts"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		look_at_vm(rows[i][0]);
		is_str(condition("Accepted", "reason"), "Unreadable");
		is_str(condition("Accepted", "message"),
		       arena_printf(&arena, "%s" UNREADABLE STAYS, rows[i][1]));
		is_str(at("VirtualMachine", ""), "no object");
		is_str(at("Service", ""), "no object");
	}
}

TESTS({"a NUL in a field is part of it", a_nul_in_a_field},
      {"a field that cannot be read is refused", a_field_that_cannot_be_read},
      {"a field may nest as deep as can be read", a_field_that_nests_as_deep_as_may_be},
      {"an addon that cannot be read is named", an_addon_that_cannot_be_read},
      {"a NUL in a VM's fields ends no name", a_nul_in_a_vm},
      {"a field of a VM that cannot be read is refused", a_field_of_a_vm_that_cannot_be_read})
