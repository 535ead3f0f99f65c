/* SPDX-License-Identifier: Apache-2.0 */
/* Which change wakes which of Harvester's objects, which pool, and the orders of which node
 * (device_wake.c, pool_wake.c). */
#include "api/core.h"
#include "api/harvester.h"
#include "api/kubevirt.h"
#include "api/pool.h"
#include "api/vmgpu.h"
#include "base/buf.h"
#include "base/test.h"
#include "controller/kinds.h"
#include "json/yaml.h"

static struct cache *c;
static struct buf woken;
static size_t n_woken;
static const char *told; /* of which reconciler */

static void wake(void *ctx, const char *ns, const char *name)
{
	(void)ctx;
	(void)ns;
	n_woken++;
	buf_printf(&woken, "%s%s", woken.len ? " " : "", name);
}

static void listen(void *ctx, const struct kube_kind *k, const struct obj *old,
		   const struct obj *now)
{
	(void)ctx;
	for (size_t i = 0; controller_reconcilers[i]; i++) {
		const struct reconciler *r = controller_reconcilers[i];

		for (const struct plan_watch *w = r->watches; w && w->kind; w++) {
			if (w->kind == k && str_eq(r->name, told)) {
				w->map(c, old, now, wake, NULL);
			}
		}
	}
}

static void forget(void)
{
	buf_reset(&woken);
	n_woken = 0;
}

static void start(const char *reconciler)
{
	cache_destroy(c);
	c = cache_create(controller_kinds);
	cache_listen(c, listen, NULL);
	told = reconciler;
	buf_finish(&woken);
	buf_init(&woken, MiB);
	forget();
}

static void put(const char *text)
{
	struct err err = {""};
	json_t *docs = yaml_read("test", text, strlen(text), &err), *o;
	size_t i;

	is_str(err.text, "");
	forget();
	json_array_foreach(docs, i, o) {
		is_int(cache_load_json(c, o, &err), 0);
	}
	json_decref(docs);
}

static void gone(const struct kube_kind *k, const char *name)
{
	forget();
	is_int(cache_del(c, k, NULL, name), CACHE_REMOVED);
}

static void wakes(const char *want)
{
	is_str(buf_text(&woken), want);
}

#define NODE(more, units)                                                                          \
	"{apiVersion: vmgpu.io/v1alpha1, kind: GPUNode, metadata: {name: n, generation: 2}, "      \
	"status: {" more " units: [" units "]}}\n---\n"
#define ORDERED(orders, units)                                                                     \
	"{apiVersion: vmgpu.io/v1alpha1, kind: GPUNode, metadata: {name: n, generation: 2}, "      \
	"spec: {units: [" orders "]}, status: {units: [" units "]}}\n---\n"
#define UNIT(bus, driver, slots)                                                                   \
	"{id: '0000:" bus ":00.0', address: '0000:" bus ":00.0', driver: " driver                  \
	", functions: [{address: '0000:" bus ":00.0', role: gpu}], slots: [" slots "]}"
#define VF(bus, more) "{vf: '0000:" bus ":00.4'" more "}"
#define OBJECT(kind, name, spec, more)                                                             \
	"{apiVersion: devices.harvesterhci.io/v1beta1, kind: " kind                                \
	", metadata: {name: " name more "}, spec: " spec "}\n---\n"
#define HELD ", finalizers: [vmgpu.io/release]"

/* --- reports ---------------------------------------------------------------------------------- */

static void a_report_wakes_what_is_on_units_that_differ(void)
{
	start("pcidevice");
	put(NODE("", UNIT("41", "a", VF("41", "")) ", " UNIT("42", "a", "")));
	wakes("n-000041000 n-000041004 n-000042000");
	put(NODE("", UNIT("41", "a", VF("41", "")) ", " UNIT("42", "b", "")));
	wakes("n-000042000 n-000042000"); /* as it is, and as it was */
	put(NODE("", UNIT("41", "a", VF("41", ", type: T")) ", " UNIT("42", "b", "")));
	wakes("n-000041000 n-000041004 n-000041000 n-000041004");
	put(NODE("observedGeneration: 1,",
		 UNIT("41", "a", VF("41", ", type: T")) ", " UNIT("42", "b", "")));
	wakes("");
	put(NODE("", UNIT("42", "b", "")));
	wakes("n-000041000 n-000041004");
}

static void a_card_that_moves_up_the_list_differs_in_nothing(void)
{
	start("pcidevice");
	put(NODE("", UNIT("41", "a", "") ", " UNIT("42", "a", "") ", " UNIT("43", "a", "")));
	put(NODE("", UNIT("42", "a", "") ", " UNIT("43", "a", "")));
	wakes("n-000041000");
}

static void orders_wake_what_is_on_their_unit(void)
{
	start("pcideviceclaim");
	put(ORDERED("", UNIT("41", "a", "") ", " UNIT("42", "a", "")));
	put(ORDERED("{id: '0000:42:00.0', want: vfio}",
		    UNIT("41", "a", "") ", " UNIT("42", "a", "")));
	wakes("n-000042000");
	put(ORDERED("{id: '0000:42:00.0', want: host}",
		    UNIT("41", "a", "") ", " UNIT("42", "a", "")));
	wakes("n-000042000");
	put(ORDERED("", UNIT("41", "a", "") ", " UNIT("42", "a", "")));
	wakes("n-000042000");
}

static void an_answer_wakes_who_waits_for_one(void)
{
	start("pcideviceclaim");
	put(NODE("", UNIT("41", "a", "")) OBJECT("PCIDeviceClaim", "n-000041000", "{}", HELD)
		    OBJECT("PCIDeviceClaim", "n-000042000", "{}", "")
			    OBJECT("PCIDeviceClaim", "n-n-000042000", "{}", HELD));
	put(NODE("observedGeneration: 2,", UNIT("41", "a", "")));
	wakes("n-000041000");
}

static void the_first_report_wakes_all_of_the_node(void)
{
	start("pcidevice");
	put(NODE("", "") OBJECT("PCIDevice", "n-000043000", "{}", "")
		    OBJECT("PCIDevice", "m-000043000", "{}", ""));
	put(NODE("conditions: [{type: Ready, status: 'True'}],", UNIT("41", "a", "")));
	wakes("n-000041000 n-000043000");
}

static void silence_wakes_all_of_the_node(void)
{
	static const char silent[] =
		"{apiVersion: vmgpu.io/v1alpha1, kind: GPUNode, metadata: {name: n, generation: 2, "
		"annotations: {vmgpu.io/silent-since: t}}, status: {units: [" UNIT("41", "a",
										   "") "]}}";

	start("pcideviceclaim");
	put(NODE("", UNIT("41", "a", "")) OBJECT("PCIDeviceClaim", "n-000041000", "{}", HELD)
		    OBJECT("PCIDeviceClaim", "n-000042000", "{}", "")
			    OBJECT("PCIDeviceClaim", "m-000042000", "{}", ""));
	put(silent);
	wakes("n-000041000 n-000042000");
	put(NODE("", UNIT("41", "a", "")));
	wakes("n-000041000 n-000042000");
}

static char *many(const char *first_driver)
{
	attr_cleanup(buf_finish) struct buf b;

	buf_init(&b, MiB);
	for (int i = 0; i < 60; i++) {
		buf_printf(&b, "%s{id: u%d, address: '%d', driver: %s, slots: [", i ? ", " : "", i,
			   i, i ? "d" : first_driver);
		for (int k = 0; k < 16; k++) {
			buf_printf(&b, "%s{vf: '%d.%d'}", k ? ", " : "", i, k);
		}
		buf_str(&b, "]}");
	}
	return xprintf(NODE("", "%s"), buf_text(&b));
}

static void a_thousand_objects_are_no_reason_to_look_at_all(void)
{
	auto_free char *before = many("a"), *after = many("b");

	start("vgpudevice");
	put(before);
	is_int(n_woken, 60 * 16);
	put(after);
	is_int(n_woken, 2 * 16); /* as they were and as they are: one key each */
}

/* --- neighbours ------------------------------------------------------------------------------- */

static void a_node_that_goes_wakes_who_waits_for_that(void)
{
	start("pcideviceclaim");
	put("{apiVersion: v1, kind: Node, metadata: {name: n}}\n---\n" OBJECT(
		"PCIDeviceClaim", "n-000041000", "{}", HELD)
		    OBJECT("PCIDeviceClaim", "m-000041000", "{}", HELD));
	gone(&kind_node, "n");
	wakes("n-000041000");
	start("vgpudevice");
	put("{apiVersion: v1, kind: Node, metadata: {name: n}}\n---\n" OBJECT(
		"VGPUDevice", "n-000041004", "{}", HELD));
	gone(&kind_node, "n");
	wakes("n-000041004");
	put("{apiVersion: v1, kind: Node, metadata: {name: n, resourceVersion: '1'}}");
	wakes("n-000041004");
	put("{apiVersion: v1, kind: Node, metadata: {name: n, resourceVersion: '2'}}");
	wakes("");
}

static void a_virtual_function_wakes_its_card(void)
{
	start("sriovgpudevice");
	put(NODE("", UNIT("41", "a", "") ", {id: v, driver: a, physicalFunction: '0000:41:00.0'}"));
	put(NODE("", UNIT("41", "a", "") ", {id: v, driver: b, physicalFunction: '0000:41:00.0'}"));
	wakes("n-000041000 n-000041000"); /* the card of the one before, and of the one now */
}

static void a_node_that_comes_wakes_what_is_on_it(void)
{
	static const char *const kinds[] = {"pcidevice", "sriovgpudevice", "vgpudevice"};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		start(kinds[i]);
		put(NODE("", UNIT("41", "a", VF("41", ""))));
		put("{apiVersion: v1, kind: Node, metadata: {name: m, uid: b}}");
		wakes("");
		put("{apiVersion: v1, kind: Node, metadata: {name: n, uid: a}}");
		wakes("n-000041000 n-000041004");
		put("{apiVersion: v1, kind: Node, metadata: {name: n, uid: a, resourceVersion: '2'}}");
		wakes("");
		put("{apiVersion: v1, kind: Node, metadata: {name: n, uid: c}}");
		wakes("n-000041000 n-000041004");
	}
}

static void who_asks_anew_wakes_the_others_of_the_card(void)
{
	start("sriovgpudevice");
	put(NODE("", UNIT("41", "a", VF("41", "")) ", " UNIT("42", "a", "")));
	put(OBJECT("PCIDeviceClaim", "n-000041000", "{nodeName: n}", ""));
	wakes("n-000041000 n-000041004");
	put(OBJECT("PCIDeviceClaim", "n-000041000", "{nodeName: n}", HELD));
	wakes("");
	put(OBJECT("VGPUDevice", "n-000041004", "{enabled: true}", ""));
	wakes("n-000041000 n-000041004");
	put(OBJECT("VGPUDevice", "n-000041004", "{enabled: true}", HELD));
	wakes("");
	start("vgpudevice");
	put(NODE("", UNIT("41", "a", VF("41", ""))));
	put(OBJECT("SRIOVGPUDevice", "n-000041000", "{enabled: true}", ""));
	wakes("n-000041000 n-000041004");
}

static void claim_and_device_wake_each_other(void)
{
	start("pcidevice");
	put(OBJECT("PCIDeviceClaim", "n-000041000", "{}", ""));
	wakes("n-000041000");
	gone(&kind_pci_claim, "n-000041000");
	wakes("n-000041000");
	start("pcideviceclaim");
	put(OBJECT("PCIDevice", "n-000041000", "{}", ", uid: a"));
	wakes("n-000041000");
	put(OBJECT("PCIDevice", "n-000041000", "{}", ", uid: a, labels: {nodename: n}"));
	wakes("");
	put(OBJECT("PCIDevice", "n-000041000", "{}", ", uid: b"));
	wakes("n-000041000");
}

/* --- orders of a node ------------------------------------------------------------------------- */

static void what_is_asked_wakes_the_orders_of_its_node(void)
{
	start("node");
	put(OBJECT("PCIDeviceClaim", "n-a-000041000", "{}", ""));
	wakes("n-a");
	put(OBJECT("PCIDeviceClaim", "n-a-000041000", "{}", HELD));
	wakes("n-a");
	put("{apiVersion: devices.harvesterhci.io/v1beta1, kind: PCIDeviceClaim, metadata: "
	    "{name: n-a-000041000, finalizers: [vmgpu.io/release]}, spec: {}, "
	    "status: {passthroughEnabled: true}}");
	wakes("");
	put(OBJECT("PCIDeviceClaim", "n-a-000041000", "{}", HELD ", deletionTimestamp: t"));
	wakes("n-a");
	gone(&kind_pci_claim, "n-a-000041000");
	wakes("n-a");
	put(OBJECT("SRIOVGPUDevice", "n-000041000", "{enabled: true}", ""));
	wakes("n");
	put(OBJECT("SRIOVGPUDevice", "n-000041000", "{enabled: true}",
		   ", annotations: {vmgpu.io/virtual-functions: '4'}"));
	wakes("n");
	put(OBJECT("VGPUDevice", "n-000041004", "{enabled: true}", ""));
	wakes("n");
	put(OBJECT("VGPUDevice", "n-000041004", "{enabled: true}", HELD));
	wakes("n");
	put(OBJECT("VGPUDevice", "n-000041004", "{enabled: true, vGPUTypeName: T}", HELD));
	wakes("n");
}

#define HOST(label)                                                                                \
	"{apiVersion: v1, kind: Node, metadata: {name: n, labels: {x: y, "                         \
	"nvidia.com/gpu.deploy.device-plugin: '" label "'}}}"
#define SET(name, more)                                                                            \
	"{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: " name ", namespace: o" more "}}"

static void the_operator_wakes_the_orders_of_its_nodes(void)
{
	start("node");
	put(NODE("", UNIT("41", "a", "")));
	put(HOST("false"));
	wakes("");
	put(HOST("true"));
	wakes("n");
	put(HOST("paused-for-x"));
	wakes("");
	put(HOST("false"));
	wakes("n");
	put(SET("a", ""));
	wakes("n");
	put(SET("a", ", resourceVersion: '7'"));
	wakes("");
	put(SET("a", ", resourceVersion: '8', deletionTimestamp: t"));
	wakes("n");
}

#define KUBEVIRT(list)                                                                             \
	"{apiVersion: kubevirt.io/v1, kind: KubeVirt, metadata: {name: kubevirt, namespace: k}, "  \
	"spec: {configuration: {permittedHostDevices: {" list "}}}, status: {phase: Deployed}}\n"

static void the_cr_wakes_nodes_with_mediated_devices(void)
{
	start("node");
	put(NODE("", "{id: a, vgpuFramework: vendor-vfio}"));
	put(KUBEVIRT(""));
	wakes("");
	put(NODE("", "{id: a, vgpuFramework: mdev}"));
	put(KUBEVIRT("usb: []"));
	wakes("n");
	put(KUBEVIRT("usb: []"));
	wakes("");
}

static void a_kept_type_wakes_the_cr(void)
{
	start("permit");
	put(KUBEVIRT(""));
	put(OBJECT("VGPUDevice", "n-000041004", "{vGPUTypeName: T}", ""));
	wakes("");
	put(OBJECT("VGPUDevice", "n-000041004", "{enabled: true, vGPUTypeName: T}", ""));
	wakes("kubevirt");
	put(OBJECT("VGPUDevice", "n-000041004", "{enabled: true, vGPUTypeName: T}", HELD));
	wakes("");
	put(OBJECT("VGPUDevice", "n-000041004", "{enabled: false, vGPUTypeName: T}", HELD));
	wakes("kubevirt");
}

/* --- pools ------------------------------------------------------------------------------------ */

#define POOL(name, spec, more)                                                                     \
	"{apiVersion: vmgpu.io/v1alpha1, kind: GPUPool, metadata: {name: " name                    \
	"}, spec: " spec more "}\n---\n"
#define HOST_OF(name, labels)                                                                      \
	"{apiVersion: v1, kind: Node, metadata: {name: " name ", uid: u-" name                     \
	", labels: {" labels "}}}\n---\n"
#define SELECTED "{use: host, nodeSelector: {matchLabels: {rack: b}}}"

static void a_pool_wakes_the_nodes_that_it_had_or_has(void)
{
	start("node");
	put(HOST_OF("n", "rack: b") HOST_OF("m", "rack: c"));
	put(NODE("", "") "{apiVersion: vmgpu.io/v1alpha1, kind: GPUNode, metadata: {name: m}}");
	put(POOL("p", SELECTED, ""));
	wakes("n");
	put(POOL("p", SELECTED, ", status: {gpus: 1}"));
	wakes("");
	put(POOL("p", "{use: host, nodeNames: [m]}", ""));
	is_int(n_woken, 2);
	put(POOL("p", "{use: vgpu, nodeNames: [m]}", ""));
	wakes("m");
	gone(&kind_gpu_pool, "p");
	wakes("m");
}

static void labels_wake_the_orders_of_their_node(void)
{
	start("node");
	put(NODE("", ""));
	put(HOST_OF("n", "rack: b"));
	wakes(""); /* there is no pool */
	put(POOL("p", SELECTED, ""));
	put(HOST_OF("n", "rack: c"));
	wakes("n");
	put("{apiVersion: v1, kind: Node, metadata: {name: n, uid: u-n, resourceVersion: \"9\", "
	    "labels: {rack: c}}}");
	wakes("");
	gone(&kind_node, "n");
	wakes("n");
}

static void what_a_pool_says_follows_reports_labels_and_other_pools(void)
{
	start("gpupool");
	put(POOL("p", SELECTED, ""));
	put(NODE("", UNIT("41", "a", "")));
	wakes("p");
	put(HOST_OF("n", "rack: b"));
	wakes("p");
	put(HOST_OF("n", "rack: b"));
	wakes("");
	put(HOST_OF("n", "rack: b, x: y"));
	wakes("p");
	put(POOL("q", SELECTED, ""));
	is_int(n_woken, 2);
	put(POOL("q", SELECTED, ", status: {gpus: 1}"));
	wakes("");
	gone(&kind_gpu_pool, "q");
	wakes("p");
}

TESTS({"a report wakes what is on units that differ", a_report_wakes_what_is_on_units_that_differ},
      {"a card that moves up the list differs in nothing",
       a_card_that_moves_up_the_list_differs_in_nothing},
      {"orders wake what is on their unit", orders_wake_what_is_on_their_unit},
      {"an answer wakes who waits for one", an_answer_wakes_who_waits_for_one},
      {"the first report wakes all of the node, also what it does not have",
       the_first_report_wakes_all_of_the_node},
      {"silence of its daemon wakes all of the node, and its end", silence_wakes_all_of_the_node},
      {"of a thousand objects those of one card are woken",
       a_thousand_objects_are_no_reason_to_look_at_all},
      {"a node that goes wakes who waits for that", a_node_that_goes_wakes_who_waits_for_that},
      {"a virtual function wakes its card", a_virtual_function_wakes_its_card},
      {"a Node that comes wakes what is on it", a_node_that_comes_wakes_what_is_on_it},
      {"who asks anew wakes the others of the card", who_asks_anew_wakes_the_others_of_the_card},
      {"claim and device wake each other", claim_and_device_wake_each_other},
      {"what is asked wakes the orders of its node", what_is_asked_wakes_the_orders_of_its_node},
      {"the gpu-operator wakes the orders of its nodes",
       the_operator_wakes_the_orders_of_its_nodes},
      {"the KubeVirt CR wakes nodes with mediated devices",
       the_cr_wakes_nodes_with_mediated_devices},
      {"a type that is kept wakes the KubeVirt CR", a_kept_type_wakes_the_cr},
      {"a pool wakes the nodes that it had or has", a_pool_wakes_the_nodes_that_it_had_or_has},
      {"labels wake the orders of their node", labels_wake_the_orders_of_their_node},
      {"what a pool says follows reports, labels and other pools",
       what_a_pool_says_follows_reports_labels_and_other_pools})
