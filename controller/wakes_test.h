/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wakes_test.h: shared by the files of tests of which change wakes which object: a cache that tells the
 * watches of one plan what a running controller would, and objects in few words.
 */
#pragma once

#include "base/buf.h"
#include "base/test.h"
#include "api/apps.h"
#include "api/capi.h"
#include "api/kubevirt.h"
#include "api/vmgpu.h"
#include "controller/kinds.h"
#include "json/yaml.h"

static struct cache *c;
static struct buf woken;
static const char *told; /* of which reconciler */

static void wake(void *ctx, const char *ns, const char *name)
{
	buf_printf(&woken, "%s%s/%s", woken.len ? " " : "", ns, name);
	(void)ctx;
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

static void start(const char *reconciler)
{
	cache_destroy(c);
	c = cache_create(controller_kinds);
	cache_listen(c, listen, NULL);
	told = reconciler;
	buf_finish(&woken);
	buf_init(&woken, MiB);
}

static void put(const char *text)
{
	struct err err = {""};
	json_t *docs = yaml_read("test", text, strlen(text), &err), *o;
	size_t i;

	is_str(err.text, "");
	buf_reset(&woken);
	json_array_foreach(docs, i, o) {
		is_int(cache_load_json(c, o, &err), 0);
	}
	json_decref(docs);
}

static void gone(const struct kube_kind *k, const char *ns, const char *name)
{
	buf_reset(&woken);
	is_int(cache_del(c, k, ns, name), CACHE_REMOVED);
}

static void wakes(const char *want)
{
	is_str(buf_text(&woken), want);
}

#define APP(kind, name, spec)                                                                      \
	"{apiVersion: apps.cozystack.io/v1alpha1, kind: " kind ", metadata: {name: " name          \
	", namespace: t, uid: " name "}, spec: " spec "}\n---\n"
#define L40S "nvidia.com/AD102GL_L40S"
#define A100 "nvidia.com/GA100_A100_PCIE_80GB"
#define ASKS(name) "{gpus: [{name: " name "}]}"
#define KUBEVIRT(list, ours)                                                                       \
	"{apiVersion: kubevirt.io/v1, kind: KubeVirt, metadata: {name: kubevirt, namespace: k, "   \
	"annotations: {vmgpu.io/permitted-host-devices: '{\"pciHostDevices\":[" ours               \
	"]}'}}, spec: {configuration: {" list "}}, status: {phase: Deployed}}\n---\n"
#define LISTS(name)                                                                                \
	"permittedHostDevices: {pciHostDevices: [{pciVendorSelector: x, resourceName: " name "}]}"
#define UNIT(name, id, available)                                                                  \
	"{name: " name ", vendorID: '10de', deviceID: '" id                                        \
	"', aliases: [nvidia.com/other], conditions: [{type: Available, status: '" available       \
	"'}]}"
#define NODE(units)                                                                                   \
	"{apiVersion: vmgpu.io/v1alpha1, kind: GPUNode, metadata: {name: n}, status: {units: [" units \
	"]}}\n---\n"
#define MACHINE(name, devices, status)                                                             \
	"{apiVersion: kubevirt.io/v1, kind: VirtualMachineInstance, metadata: {name: " name        \
	", namespace: t}, spec: {domain: {devices: {hostDevices: " devices "}}}, status: " status  \
	"}\n---\n"
#define HAS(name) "[{name: gpu1, deviceName: " name "}]"
#define KV_VM(name, devices)                                                                       \
	"{apiVersion: kubevirt.io/v1, kind: VirtualMachine, metadata: {name: " name                \
	", namespace: t}, spec: {template: {spec: {domain: {devices: {hostDevices: " devices       \
	"}}}}}}\n---\n"
