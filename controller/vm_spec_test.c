/* SPDX-License-Identifier: Apache-2.0 */
/* Field by field of a VMInstance, a VirtualMachine and a VMDisk: what is said of it, where it goes. */
#include "controller/plan_vm.h"

#include "controller/kinds.h"
#include "controller/plan_disk.h"
#include "controller/spec_world.h"

/* Beside KubeVirt: what a VM is sized by when it says nothing. */
#define SIZES                                                                                      \
	"{apiVersion: instancetype.kubevirt.io/v1beta1, kind: VirtualMachineClusterInstancetype, " \
	"metadata: {name: u1.medium}}\n---\n"                                                      \
	"{apiVersion: instancetype.kubevirt.io/v1beta1, kind: VirtualMachineClusterPreference, "   \
	"metadata: {name: ubuntu}}\n---\n"

static void look(const char *spec)
{
	spec_look(&reconcile_vm_instance, spec);
}

static const char *accepted(void)
{
	return condition("Accepted", "message");
}

/* --- without effect --------------------------------------------------------------------------- */

#define TOGETHER " (cpu and memory size a VM together)"
#define PORTS_PASS " (needs Cozystack's cozy-proxy, --cozy-proxy: the ports pass)"
#define NEEDS_PROXY " (needs Cozystack's cozy-proxy, --cozy-proxy)"
#define STAYS_INSIDE "external (externalPorts is empty: the Service stays inside)"

static void fields_without_effect(void)
{
	static const struct {
		const char *spec, *plain, *proxy; /* said without cozy-proxy, and with it */
	} rows[] = {
		{"{}", NULL, NULL},
		{"{externalMethod: WholeIP, externalAllowICMP: true}", NULL, NULL},
		{"{external: true}", NULL, NULL},
		{"{external: true, externalMethod: PortList}", NULL, NULL},
		{"{external: true, externalMethod: WholeIP}", "externalMethod: WholeIP" PORTS_PASS,
		 NULL},
		{"{external: true, externalAllowICMP: true}", "externalAllowICMP" NEEDS_PROXY,
		 NULL},
		{"{external: true, externalAllowICMP: false}", "externalAllowICMP" NEEDS_PROXY,
		 NULL},
		{"{external: true, externalMethod: WholeIP, externalAllowICMP: false}",
		 "externalMethod: WholeIP" PORTS_PASS ", externalAllowICMP" NEEDS_PROXY,
		 "externalAllowICMP (WholeIP lets all through)"},
		{"{external: true, externalPorts: [80]}", NULL, NULL},
		{"{external: true, externalPorts: []}", STAYS_INSIDE, STAYS_INSIDE},
		{"{external: false, externalPorts: []}", NULL, NULL},
		{"{external: true, externalMethod: WholeIP, externalPorts: []}",
		 "externalMethod: WholeIP" PORTS_PASS ", " STAYS_INSIDE, NULL},

		{"{resources: {cpu: 2, memory: 4Gi}}", NULL, NULL},
		{"{resources: {cpu: 2, memory: 4Gi, sockets: 2}}", NULL, NULL},
		{"{resources: {cpu: 2, memory: 4Gi}, instanceType: big}",
		 "instanceType (resources.cpu and memory size the VM)",
		 "instanceType (resources.cpu and memory size the VM)"},
		{"{resources: {cpu: 2}}", "resources.cpu" TOGETHER, "resources.cpu" TOGETHER},
		{"{resources: {memory: 4Gi}}", "resources.memory" TOGETHER,
		 "resources.memory" TOGETHER},
		{"{resources: {sockets: 2}}", "resources.sockets (only with cpu and memory)",
		 "resources.sockets (only with cpu and memory)"},
		{"{resources: {cpu: '', memory: '', sockets: ''}}", NULL, NULL},

		{"{running: true}", NULL, NULL},
		{"{running: true, runStrategy: Always}", NULL, NULL},
		{"{running: false, runStrategy: Halted}", NULL, NULL},
		{"{running: false, runStrategy: Manual}", NULL, NULL},
		{"{running: true, runStrategy: Once}", NULL, NULL},
		{"{running: false, runStrategy: Always}",
		 "running (runStrategy says otherwise, and wins)",
		 "running (runStrategy says otherwise, and wins)"},
		{"{running: true, runStrategy: Halted}",
		 "running (runStrategy says otherwise, and wins)",
		 "running (runStrategy says otherwise, and wins)"},

		{"{networks: [{name: a}]}", NULL, NULL},
		{"{subnets: [{name: a}]}", NULL, NULL},
		{"{networks: [{name: a}], subnets: [{name: a}]}", "subnets (networks is set)",
		 "subnets (networks is set)"},
		{"{systemDisk: {storage: 6Gi, size: 5Gi}}",
		 "systemDisk.size (systemDisk.storage is set)",
		 "systemDisk.size (systemDisk.storage is set)"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (int proxy = 0; proxy < 2; proxy++) {
			const char *said = proxy ? rows[i].proxy : rows[i].plain;

			begin(SIZES);
			options.cozy_proxy = proxy;
			look(rows[i].spec);
			is_str(accepted(),
			       said ? arena_printf(&arena, "accepted without effect: %s", said)
				    : "every field is acted on");
		}
	}
}

/* --- the Service ------------------------------------------------------------------------------ */

#define PORT(n)                                                                                    \
	"{\"name\":\"port-" #n "\",\"port\":" #n ",\"protocol\":\"TCP\",\"targetPort\":" #n "}"
#define NO_PORT "{\"port\":65535,\"protocol\":\"TCP\"}"

static void ports_of_a_service(void)
{
	static const struct {
		const char *spec, *plain, *proxy, *type;
	} rows[] = {
		{"{}", NO_PORT, NO_PORT, "ClusterIP"},
		{"{external: false, externalPorts: [80]}", NO_PORT, NO_PORT, "ClusterIP"},
		{"{external: true}", PORT(22), PORT(22), "LoadBalancer"},
		{"{external: true, externalPorts: [80]}", PORT(80), PORT(80), "LoadBalancer"},
		{"{external: true, externalPorts: [80, 443, 80]}", PORT(80) "," PORT(443),
		 PORT(80) "," PORT(443), "LoadBalancer"},
		{"{external: true, externalPorts: [80, ssh, 443, 443]}", PORT(80) "," PORT(443),
		 PORT(80) "," PORT(443), "LoadBalancer"},
		{"{external: true, externalPorts: []}", NO_PORT, NO_PORT, "ClusterIP"},
		{"{external: true, externalMethod: WholeIP}", PORT(22), NO_PORT, "LoadBalancer"},
		{"{external: true, externalMethod: WholeIP, externalPorts: [80]}", PORT(80),
		 PORT(80), "LoadBalancer"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (int proxy = 0; proxy < 2; proxy++) {
			begin(SIZES);
			options.cozy_proxy = proxy;
			options.no_node_ports = proxy;
			look(rows[i].spec);
			is_str(at("Service", "spec/ports"),
			       arena_printf(&arena, "[%s]", proxy ? rows[i].proxy : rows[i].plain));
			is_str(at("Service", "spec/type"),
			       arena_printf(&arena, "\"%s\"", rows[i].type));
			is_str(at("Service", "spec/allocateLoadBalancerNodePorts"),
			       proxy && *rows[i].type == 'L' ? "false" : "nothing");
		}
	}
}

/* Annotations of the Service beside our own, which stands last. */
static const char *marks(void)
{
	const char *all = at("Service", "metadata/annotations"),
		   *end = strstr(all, "\"vmgpu.io/intent\"");

	return end ? arena_strndup(&arena, all, (size_t)(end - all)) : all;
}

static void marks_for_cozy_proxy(void)
{
	static const char *const rows[][2] = {
		{"{external: true}", "{\"networking.cozystack.io/allowICMP\":\"true\","
				     "\"networking.cozystack.io/wholeIP\":\"false\","},
		{"{external: true, externalAllowICMP: false}",
		 "{\"networking.cozystack.io/allowICMP\":\"false\","
		 "\"networking.cozystack.io/wholeIP\":\"false\","},
		{"{external: true, externalMethod: WholeIP}",
		 "{\"networking.cozystack.io/wholeIP\":\"true\","},
		{"{}", "{"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(SIZES);
		options.cozy_proxy = true;
		look(rows[i][0]);
		is_str(marks(), rows[i][1]);
		begin(SIZES);
		look(rows[i][0]);
		is_str(marks(), "{");
	}
}

/* --- power and size --------------------------------------------------------------------------- */

static void whether_it_is_to_run(void)
{
	static const char *const rows[][2] = {
		{"{}", "\"Always\""},
		{"{running: true}", "\"Always\""},
		{"{running: false}", "\"Halted\""},
		{"{runStrategy: ''}", "\"Always\""},
		{"{runStrategy: Manual}", "\"Manual\""},
		{"{runStrategy: Once, running: false}", "\"Once\""},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(SIZES);
		look(rows[i][0]);
		is_str(at("VirtualMachine", "spec/runStrategy"), rows[i][1]);
	}
}

#define CPU(cores, sockets) "{\"cores\":" cores ",\"sockets\":" sockets "}"

static void sizes_of_a_vm(void)
{
	static const char *const rows[][2] = {
		{"{}", "nothing"},
		{"{cpuModel: host}", "{\"model\":\"host\"}"},
		{"{resources: {cpu: 2, memory: 4Gi}}", CPU("2", "1")},
		{"{resources: {cpu: 2, memory: 4Gi, sockets: 3}}", CPU("2", "3")},
		{"{resources: {cpu: 500m, memory: 4Gi}}", CPU("1", "1")},
		{"{resources: {cpu: 2500m, memory: 4Gi}}", CPU("3", "1")},
		{"{resources: {cpu: 2000m, memory: 4Gi}}", CPU("2", "1")},
		{"{resources: {cpu: '0', memory: 4Gi}}", CPU("0", "1")},
		{"{resources: {cpu: '-1', memory: 4Gi}}", CPU("\"-1\"", "1")},
		{"{resources: {cpu: many, memory: 4Gi}}", CPU("\"many\"", "1")},
		{"{resources: {cpu: '2147483647', memory: 4Gi}}", CPU("2147483647", "1")},
		{"{resources: {cpu: '2147483648', memory: 4Gi}}", CPU("\"2147483648\"", "1")},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(SIZES);
		look(rows[i][0]);
		is_str(at("VirtualMachine", "spec/template/spec/domain/cpu"), rows[i][1]);
	}
}

/* --- what is there ---------------------------------------------------------------------------- */

#define OWNER(kind)                                                                                \
	"ownerReferences: [{apiVersion: apps.cozystack.io/v1alpha1, kind: " kind                   \
	", name: k, uid: u, controller: true}]"

static void the_address_of_its_service(void)
{
	static const char *const rows[][4] = {
		/* spec, clusterIP, ingress, address */
		{"{external: true}", "10.0.0.1", "[{ip: 192.0.2.1}]", "\"192.0.2.1\""},
		{"{external: true}", "10.0.0.1", "[{hostname: a.example.com}]",
		 "\"a.example.com\""},
		{"{external: true}", "10.0.0.1", "[{ip: 192.0.2.1, hostname: a.example.com}]",
		 "\"192.0.2.1\""},
		{"{external: true}", "10.0.0.1", "[{ip: 192.0.2.2}, {ip: 192.0.2.1}]",
		 "\"192.0.2.2\""},
		{"{external: true}", "10.0.0.1", "[]", "nothing"},
		{"{}", "10.0.0.1", "[{ip: 192.0.2.1}]", "nothing"},
		{"{external: true}", "None", "[{ip: 192.0.2.1}]", "nothing"},
		{"{}", "None", "[]", "nothing"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(SIZES);
		put(arena_printf(
			&arena,
			"{apiVersion: v1, kind: Service, metadata: {name: vm-instance-k, "
			"namespace: t, uid: s, " OWNER(
				"VMInstance") "}, spec: {clusterIP: %s}, status: {loadBalancer: "
					      "{ingress: %s}}}",
			rows[i][1], rows[i][2]));
		look(rows[i][0]);
		is_str(at("VMInstance", "status/externalIP"), rows[i][3]);
	}
}

/* The words of Cozystack's VM that would change. */
static void what_an_adopted_vm_would_get(void)
{
	static const struct {
		const char *spec, *vm, *said;
	} rows[] = {
		{"{}", "", "until this object changes"},
		{"{instanceType: big}", "", "; then it gets instancetype big (now u1.medium)"},
		{"{instanceProfile: windows}", "",
		 "; then it gets preference windows (now ubuntu)"},
		{"{instanceType: big, instanceProfile: windows}", "",
		 "; then it gets instancetype big (now u1.medium), preference windows (now ubuntu)"},
		{"{gpus: [{name: e/A}]}", "",
		 "; then it gets GPUs e/A (now none), evictionStrategy None (now none)"},
		{"{gpus: [{name: e/A}, {name: e/B}]}", "",
		 "; then it gets GPUs e/A e/B (now none), evictionStrategy None (now none)"},
		{"{}", "devices: {gpus: [{deviceName: e/A}], hostDevices: [{deviceName: e/B}, {}]}",
		 "; then it gets GPUs none (now e/A e/B ?)"},
		{"{gpus: [{name: e/A}]}", "devices: {gpus: [{name: gpu1, deviceName: e/A}]}",
		 "; then it gets evictionStrategy None (now none)"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *said;

		begin(SIZES);
		put(arena_printf(
			&arena,
			"{apiVersion: kubevirt.io/v1, kind: VirtualMachine, metadata: {name: "
			"vm-instance-k, namespace: t, uid: v, labels: "
			"{app.kubernetes.io/managed-by: Helm, app.kubernetes.io/instance: "
			"vm-instance-k}}, spec: {runStrategy: Always, instancetype: {name: "
			"u1.medium}, preference: {name: ubuntu}, template: {spec: {domain: "
			"{%s}}}}, status: {printableStatus: Running}}",
			rows[i].vm));
		look(rows[i].spec);
		is_str(condition("Accepted", "reason"), "Adopted");
		said = accepted();
		said += strlen(said) - MIN(strlen(said), strlen(rows[i].said));
		is_str(said, rows[i].said);
		is_str(at("Service", ""), "no object");
		begin(SIZES);
	}
}

/* --- disks ------------------------------------------------------------------------------------ */

static void disk(const char *spec)
{
	spec_look(&reconcile_vm_disk, spec);
}

static void sources_of_a_disk(void)
{
	static const char *const rows[][2] = {
		{"{}", NULL},
		{"{source: {}}", NULL},
		{"{source: {upload: {}}}", NULL},
		{"{source: {http: {url: 'https://a.example/x'}}}", NULL},
		{"{source: {http: {}}}", "source.http has no url"},
		{"{source: {http: {url: ''}}}", "source.http has no url"},
		{"{source: {image: {}}}", "source has no name"},
		{"{source: {image: {name: ''}}}", "source has no name"},
		{"{source: {disk: {}}}", "source has no name"},
		{"{source: {disk: {name: k}}}", "source.disk is k itself"},
		{"{source: {disk: {name: other}}}", NULL},
		{"{source: {disk: {name: other}, upload: {}}}", "source names several origins"},
		{"{source: {image: {name: a}, http: {url: x}}}", "source names several origins"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(NULL);
		disk(rows[i][0]);
		is_str(condition("Accepted", "status"), rows[i][1] ? "False" : "True");
		has(accepted(), rows[i][1] ? rows[i][1] : "every field is acted on");
	}
}

#define MINE(annotations, storage)                                                                 \
	"{apiVersion: cdi.kubevirt.io/v1beta1, kind: DataVolume, metadata: {name: vm-disk-k, "     \
	"namespace: t, uid: dv, annotations: {" annotations                                        \
	"}, " OWNER("VMDisk") "}, spec: {storage: {" storage                                       \
			      "}}, status: {phase: Succeeded}}\n---\n"
#define SIZE(n) "resources: {requests: {storage: " n "}}"

static void whether_a_disk_is_a_cd(void)
{
	static const char *const rows[][3] = {
		{"{}", "", "no object"},
		{"{optical: false}", "", "no object"},
		{"{optical: true}", "", "\"true\""},
		{"{}", "vm-disk.cozystack.io/optical: 'true'", "\"false\""},
		{"{optical: true}", "vm-disk.cozystack.io/optical: 'true'", "no object"},
		{"{optical: false}", "vm-disk.cozystack.io/optical: 'false'", "no object"},
		{"{optical: true}", "vm-disk.cozystack.io/optical: 'false'", "\"true\""},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *patch;

		begin(NULL);
		put(arena_printf(&arena, MINE("%s", SIZE("5Gi")), rows[i][1]));
		disk(rows[i][0]);
		patch = at("DataVolume", "metadata/annotations");
		if (str_eq(rows[i][2], "no object")) {
			is_str(patch, "no object");
		} else {
			is_str(patch, arena_printf(&arena, "{\"vm-disk.cozystack.io/optical\":%s}",
						   rows[i][2]));
		}
	}
}

static void what_a_disk_stays(void)
{
	static const char *const rows[][3] = {
		{"{storage: 5Gi, storageClass: fast}", "storageClassName: fast, ", NULL},
		{"{storage: 5Gi}", "storageClassName: fast, ", NULL},
		{"{storage: 5Gi, storageClass: slow}", "storageClassName: fast, ",
		 "storageClass (the disk is of class fast and stays there)"},
		{"{storage: 5Gi, storageClass: slow}", "",
		 "storageClass (the disk is of the default class and stays there)"},
		{"{storage: 5Gi, size: 5Gi}", "", NULL},
		{"{storage: 5Gi, size: 5120Mi}", "", NULL},
		{"{storage: 5Gi, size: ''}", "", NULL},
		{"{storage: '', size: 5Gi}", "", NULL},
		{"{storage: 5Gi, size: 6Gi}", "", "size (storage is set, which wins)"},
		{"{storage: 6Gi, size: 5Gi}", "", "size (storage is set, which wins)"},
		{"{storage: 4Gi}", "", "storage (the disk has 5Gi and cannot shrink to 4Gi)"},
		{"{storage: 6Gi}", "", NULL},
		{"{storage: 4Gi, size: 3Gi, storageClass: slow}", "storageClassName: fast, ",
		 "size (storage is set, which wins); storage (the disk has 5Gi and cannot shrink "
		 "to 4Gi); storageClass (the disk is of class fast and stays there)"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(NULL);
		put(arena_printf(&arena, MINE("", "%s" SIZE("5Gi")), rows[i][1]));
		disk(rows[i][0]);
		is_str(accepted(),
		       rows[i][2] ? arena_printf(&arena, "accepted without effect: %s", rows[i][2])
				  : "every field is acted on");
	}
}

/* --- a spec that cannot be read ---------------------------------------------------------------- */

/* It is not as one that says nothing: a VM would lose its disks. The API server lets none through. */
static void a_spec_that_cannot_be_read(void)
{
	static const char *const broken = "{\"gpus\":[{\"name\":";
	const struct obj o = {.ns = "t", .name = "k", .uid = "u", .rv = "1"};
	struct pass pass = {.arena = &arena, .key = {"t", "k"}, .options = &options};

	for (int i = 0; i < 2; i++) {
		const struct vm_app app = {.obj = o, .spec = i ? broken : NULL};
		const struct vm_disk d = {.obj = o, .spec = i ? broken : NULL};

		begin(SIZES);
		cache_put(c, &kind_vm_instance, &app);
		pass.cache = c;
		pass.kind = &kind_vm_instance;
		plan_init(&plan, &arena, c);
		reconcile_vm_instance.plan(reconcile_vm_instance.gather(&pass), &plan);
		is_str(at("Service", "spec/type"), i ? "no object" : "\"ClusterIP\"");
		is_str(at("VirtualMachine", "spec/runStrategy"), i ? "no object" : "\"Always\"");
		is_str(condition("Accepted", "reason"), i ? "Unreadable" : "Accepted");
		begin(NULL);
		cache_put(c, &kind_vm_disk, &d);
		pass.cache = c;
		pass.kind = &kind_vm_disk;
		plan_init(&plan, &arena, c);
		reconcile_vm_disk.plan(reconcile_vm_disk.gather(&pass), &plan);
		is_str(at("DataVolume", "spec/source"), i ? "no object" : "{\"blank\":{}}");
		is_str(condition("Accepted", "reason"), i ? "Unreadable" : "Accepted");
	}
}

TESTS({"a field without effect is named, and no other", fields_without_effect},
      {"a Service has each port once, or none", ports_of_a_service},
      {"a Service is marked for cozy-proxy where that runs", marks_for_cozy_proxy},
      {"runStrategy goes before running", whether_it_is_to_run},
      {"part of a core is a whole one", sizes_of_a_vm},
      {"the address is that of a load balancer", the_address_of_its_service},
      {"what an adopted VM would get is said", what_an_adopted_vm_would_get},
      {"a disk has one origin, which has a name", sources_of_a_disk},
      {"a disk is a CD when the manifest says so", whether_a_disk_is_a_cd},
      {"what a disk stays is said", what_a_disk_stays},
      {"of a spec that cannot be read nothing is made", a_spec_that_cannot_be_read})
