/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decode: how fast a list of KubeVirt VirtualMachines becomes what the cache keeps, by the scanner
 * and by jansson, from the same bytes in the same run.
 *
 *	decode [-n OBJECTS] [-r ROUNDS] [-c CHUNK] [-f FILE]
 *
 * FILE: a recorded list (kubectl get vm -A -o json); else one is made up, sized and shaped like a
 * real one: 5.8 KB an object, 31 % of it managedFields, 27 % annotations (most of it last-applied-
 * configuration, text in a string). CHUNK: bytes a feed, 16 KiB as they come from curl. FORMAT=json
 * in the environment gives one row a line.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "api/kubevirt.h"
#include "base/buf.h"
#include "json/scan.h"

/* --- a list ----------------------------------------------------------------------------------- */

static const char *const sizes[] = {"u1.medium", "u1.large", "cx1.xlarge", "m1.2xlarge"};
static const char *const gpus[] = {"nvidia.com/L40S", "nvidia.com/H100_94GB",
				   "nvidia.com/A100_80GB", "nvidia.com/A2"};

static void add_spec(struct buf *b, int i)
{
	buf_printf(
		b,
		"{\"instancetype\":{\"kind\":\"virtualmachineclusterinstancetype\",\"name\":\"%s\"},\"preference\":"
		"{\"kind\":\"virtualmachineclusterpreference\",\"name\":\"ubuntu\"},\"runStrategy\":\"Always\",\"template\":"
		"{\"metadata\":{\"annotations\":{\"kubevirt.io/allow-pod-bridge-network-live-migration\":\"true\"},\"labels\":"
		"{\"app.kubernetes.io/instance\":\"virtual-machine-%d\",\"app.kubernetes.io/name\":\"virtual-machine\"}},"
		"\"spec\":{\"domain\":{\"devices\":{\"disks\":[{\"bootOrder\":1,\"disk\":{\"bus\":\"scsi\"},\"name\":"
		"\"systemdisk\"},{\"disk\":{\"bus\":\"virtio\"},\"name\":\"cloudinitdisk\"}],\"gpus\":[{\"deviceName\":"
		"\"%s\",\"name\":\"gpu1\"}],\"interfaces\":[{\"bridge\":{},\"name\":\"default\"}]},",
		sizes[i % 4], i, gpus[i / 3 % 4]);
	buf_printf(
		b,
		"\"firmware\":{\"uuid\":\"%08x-7b1c-5c4e-9a53-%012x\"}},\"networks\":[{\"name\":\"default\",\"pod\":{}}],"
		"\"terminationGracePeriodSeconds\":30,\"volumes\":[{\"dataVolume\":{\"name\":\"virtual-machine-%d\"},\"name\":"
		"\"systemdisk\"},{\"cloudInitNoCloud\":{\"secretRef\":{\"name\":\"virtual-machine-%d-cloud-init\"}},\"name\":"
		"\"cloudinitdisk\"}]}}}",
		i * 2654435761u, i * 40503u, i, i);
}

static void add_annotations(struct buf *b, const char *spec, int i)
{
	attr_cleanup(buf_finish) struct buf applied;

	buf_init(&applied, MiB);
	buf_printf(
		&applied,
		"{\"apiVersion\":\"kubevirt.io/v1\",\"kind\":\"VirtualMachine\",\"metadata\":{\"annotations\":{},\"labels\":"
		"{\"app.kubernetes.io/instance\":\"virtual-machine-%d\"},\"name\":\"virtual-machine-%d\",\"namespace\":"
		"\"tenant-%d\"},\"spec\":%.900s...}\n",
		i, i, i % 40, spec);
	buf_str(b, "\"annotations\":{\"kubectl.kubernetes.io/last-applied-configuration\":");
	buf_json_str(b, applied.bytes);
	buf_printf(
		b,
		",\"kubemacpool.io/transaction-timestamp\":\"2026-07-02T11:04:%02d.551938463Z\",\"kubevirt.io/"
		"latest-observed-api-version\":\"v1\",\"kubevirt.io/storage-observed-api-version\":\"v1\",\"vmgpu.io/intent\":"
		"\"%016x\"}",
		i % 60, i * 2654435761u);
}

static void add_managed_fields(struct buf *b, int i)
{
	buf_printf(
		b,
		"\"managedFields\":[{\"apiVersion\":\"kubevirt.io/v1\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{"
		"\"f:metadata\":{\"f:annotations\":{\".\":{},\"f:kubectl.kubernetes.io/last-applied-configuration\":{},"
		"\"f:vmgpu.io/intent\":{}},\"f:labels\":{\".\":{},\"f:app.kubernetes.io/instance\":{},"
		"\"f:app.kubernetes.io/managed-by\":{},\"f:app.kubernetes.io/name\":{}},\"f:ownerReferences\":{\".\":{},"
		"\"k:{\\\"uid\\\":\\\"0c9c4f4e-3d4f-4a4b-8b1a-%012x\\\"}\":{}}},\"f:spec\":{\".\":{},\"f:instancetype\":{\".\":{},"
		"\"f:kind\":{},\"f:name\":{}},\"f:preference\":{\".\":{},\"f:kind\":{},\"f:name\":{}},\"f:template\":{\".\":{},"
		"\"f:metadata\":{\".\":{},\"f:annotations\":{\".\":{},\"f:kubevirt.io/allow-pod-bridge-network-live-migration\":"
		"{}},\"f:labels\":{\".\":{},\"f:app.kubernetes.io/instance\":{},\"f:app.kubernetes.io/name\":{}}},\"f:spec\":{"
		"\".\":{},\"f:domain\":{\".\":{},\"f:devices\":{\".\":{},\"f:disks\":{},\"f:gpus\":{},\"f:interfaces\":{}},"
		"\"f:firmware\":{\".\":{},\"f:uuid\":{}}},\"f:networks\":{},\"f:terminationGracePeriodSeconds\":{},"
		"\"f:volumes\":{}}}}},\"manager\":\"vmgpu\",\"operation\":\"Apply\",\"time\":\"2026-07-02T11:04:%02dZ\"},",
		i, i % 60);
	buf_printf(
		b,
		"{\"apiVersion\":\"kubevirt.io/v1\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:metadata\":{\"f:annotations\":{"
		"\"f:kubevirt.io/latest-observed-api-version\":{},\"f:kubevirt.io/storage-observed-api-version\":{}},"
		"\"f:finalizers\":{\".\":{},\"v:\\\"kubevirt.io/virtualMachineControllerFinalize\\\"\":{}}}},\"manager\":"
		"\"virt-controller\",\"operation\":\"Update\",\"time\":\"2026-07-02T11:05:%02dZ\"},{\"apiVersion\":"
		"\"kubevirt.io/v1\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:status\":{\".\":{},\"f:conditions\":{},"
		"\"f:created\":{},\"f:desiredGeneration\":{},\"f:observedGeneration\":{},\"f:printableStatus\":{},\"f:ready\":{},"
		"\"f:runStrategy\":{},\"f:volumeSnapshotStatuses\":{}}},\"manager\":\"virt-controller\",\"operation\":\"Update\","
		"\"subresource\":\"status\",\"time\":\"2026-07-02T11:06:%02dZ\"}]",
		i % 60, i % 60);
}

static void add_status(struct buf *b, int i)
{
	buf_printf(
		b,
		"\"status\":{\"conditions\":[{\"lastProbeTime\":null,\"lastTransitionTime\":\"2026-07-02T11:05:%02dZ\","
		"\"status\":\"True\",\"type\":\"Ready\"},{\"lastProbeTime\":null,\"lastTransitionTime\":null,\"message\":"
		"\"HostDevice: cannot migrate VMI: devices are attached to the guest\",\"reason\":\"HostDeviceNotLiveMigratable\","
		"\"status\":\"False\",\"type\":\"LiveMigratable\"}],\"created\":true,\"desiredGeneration\":2,"
		"\"instancetypeRef\":{\"controllerRevisionRef\":{\"name\":\"virtual-machine-%d-%s-v1beta1-%08x-1\"},\"kind\":"
		"\"virtualmachineclusterinstancetype\",\"name\":\"%s\"},\"observedGeneration\":2,\"printableStatus\":\"Running\","
		"\"ready\":true,\"runStrategy\":\"Always\",\"volumeSnapshotStatuses\":[{\"enabled\":true,\"name\":\"systemdisk\"},"
		"{\"enabled\":false,\"name\":\"cloudinitdisk\",\"reason\":\"Snapshot is not supported for this volumeSource type "
		"[cloudinitdisk]\"}]}",
		i % 60, i, sizes[i % 4], i * 2654435761u, sizes[i % 4]);
}

static void add_object(struct buf *b, int i)
{
	attr_cleanup(buf_finish) struct buf spec;

	buf_init(&spec, MiB);
	add_spec(&spec, i);
	buf_str(b, "{\"apiVersion\":\"kubevirt.io/v1\",\"kind\":\"VirtualMachine\",\"metadata\":{");
	add_annotations(b, spec.bytes, i);
	buf_printf(
		b,
		",\"creationTimestamp\":\"2026-07-02T11:04:%02dZ\",\"finalizers\":[\"kubevirt.io/"
		"virtualMachineControllerFinalize\"],\"generation\":2,\"labels\":{\"app.kubernetes.io/instance\":"
		"\"virtual-machine-%d\",\"app.kubernetes.io/managed-by\":\"vmgpu\",\"app.kubernetes.io/name\":\"virtual-machine\"},",
		i % 60, i);
	add_managed_fields(b, i);
	buf_printf(
		b,
		",\"name\":\"virtual-machine-%d\",\"namespace\":\"tenant-%d\",\"ownerReferences\":[{\"apiVersion\":"
		"\"apps.cozystack.io/v1alpha1\",\"blockOwnerDeletion\":true,\"controller\":true,\"kind\":\"VirtualMachine\","
		"\"name\":\"%d\",\"uid\":\"0c9c4f4e-3d4f-4a4b-8b1a-%012x\"}],\"resourceVersion\":\"%d\",\"uid\":"
		"\"%08x-63b2-4f0e-a9a8-%012x\"},\"spec\":%s,",
		i, i % 40, i, i, 1000000 + i * 7, i * 2246822519u, i, spec.bytes);
	add_status(b, i);
	buf_str(b, "}");
}

static void add_list(struct buf *b, int n)
{
	buf_str(b,
		"{\"apiVersion\":\"kubevirt.io/v1\",\"kind\":\"VirtualMachineList\",\"metadata\":{\"continue\":\"\","
		"\"resourceVersion\":\"73846251\"},\"items\":[");
	for (int i = 0; i < n; i++) {
		buf_str(b, i ? "," : "");
		add_object(b, i);
	}
	buf_str(b, "]}\n");
}

/* --- the race --------------------------------------------------------------------------------- */

struct kept {
	struct intern *in;
	void **objects; /* NULL: decoded, but not packed */
	size_t n, bytes;
};

static void keep(void *ctx, const struct scan_event *event)
{
	struct kept *k = ctx;

	if (k->objects) {
		k->objects[k->n] = type_pack(kind_kv_vm.type, event->object, k->in);
	}
	k->n++;
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
	fprintf(stderr, "decode: %s\n", what);
	exit(1);
}

/* Returns the CPU seconds that the scanner took. */
static double race_scan(const struct buf *text, size_t chunk, struct kept *k)
{
	struct scan *s = scan_create(kind_kv_vm.type, SCAN_LIST, keep, k);
	struct err err = {""};
	double start = seconds();

	for (size_t at = 0; at < text->len; at += chunk) {
		if (scan_feed(s, text->bytes + at, MIN(chunk, text->len - at), &err) < 0) {
			die(err.text);
		}
	}
	if (scan_end(s, &err) < 0) {
		die(err.text);
	}
	start = seconds() - start;
	scan_destroy(s);
	return start;
}

static double race_keep(const struct buf *text, size_t chunk, size_t n, struct kept *ret)
{
	struct kept k = {.in = intern_create(), .objects = xcalloc(n, sizeof(void *))};
	double spent = race_scan(text, chunk, &k);

	*ret = k;
	ret->bytes += intern_bytes(k.in);
	for (size_t i = 0; i < k.n; i++) {
		ret->bytes += type_packed_size(kind_kv_vm.type, k.objects[i]);
		type_free(kind_kv_vm.type, k.objects[i], k.in);
	}
	free(k.objects);
	intern_destroy(k.in);
	return spent;
}

static double race_jansson(const struct buf *text)
{
	double start = seconds();
	json_t *json = json_loadb(text->bytes, text->len, 0, NULL);

	start = seconds() - start;
	if (!json) {
		die("jansson refused the list");
	}
	json_decref(json);
	return start;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *values, int n)
{
	qsort(values, (size_t)n, sizeof(*values), by_value);
	return values[n / 2];
}

/* A row for people is a rate; one for the table of `make bench` a cost, so that less is better. */
static void row(const char *name, double mb, double ours, double peer)
{
	if (str_eq(getenv("FORMAT"), "json")) {
		printf("{\"name\":\"decode: cpu of %s\",\"ours\":%.4f,\"peer\":%.4f,\"floor\":null,"
		       "\"unit\":\"s/GB\",\"ratio\":%.4f}\n",
		       name, ours / mb * 1e3, peer / mb * 1e3, ours / peer);
	} else {
		printf("%-44s %8.1f MB/s %8.1f MB/s %6.1f x\n", name, mb / ours, mb / peer,
		       peer / ours);
	}
}

static void load(struct buf *b, const char *file, int n)
{
	struct stat st;
	auto_close int fd = -1;

	buf_init(b, 4096 * MiB);
	if (!file) {
		add_list(b, n);
		return;
	}
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		die("cannot read the list");
	}
	b->bytes = xmalloc((size_t)st.st_size + 1);
	while (b->len < (size_t)st.st_size) {
		ssize_t r = read(fd, b->bytes + b->len, (size_t)st.st_size - b->len);

		if (r <= 0) {
			die("cannot read the list");
		}
		b->len += (size_t)r;
	}
}

#define MAX_ROUNDS 99

int main(int argc, char **argv)
{
	attr_cleanup(buf_finish) struct buf text;
	double scan[MAX_ROUNDS], pack[MAX_ROUNDS], tree[MAX_ROUNDS];
	int64_t n = 20000, rounds = 5, chunk = 16 * 1024;
	const char *file = NULL;
	struct kept kept = {0}, seen = {0};
	double mb;

	for (int c; (c = getopt(argc, argv, "n:r:c:f:")) != -1;) {
		int bad = c == 'n'   ? parse_int(optarg, 1, 1000000, &n)
			  : c == 'r' ? parse_int(optarg, 1, MAX_ROUNDS, &rounds)
			  : c == 'c' ? parse_int(optarg, 1, INT32_MAX, &chunk)
			  : c == 'f' ? (file = optarg, 0)
				     : -1;

		if (bad) {
			fprintf(stderr,
				"usage: decode [-n OBJECTS] [-r ROUNDS] [-c CHUNK] [-f FILE]\n");
			return 2;
		}
	}
	load(&text, file, (int)n);
	mb = (double)text.len / 1e6;
	race_scan(&text, (size_t)chunk, &seen);
	for (int i = 0; i < rounds; i++) {
		seen.n = 0;
		scan[i] = race_scan(&text, (size_t)chunk, &seen);
		tree[i] = race_jansson(&text);
		pack[i] = race_keep(&text, (size_t)chunk, seen.n, &kept);
	}
	if (!str_eq(getenv("FORMAT"), "json")) {
		printf("%zu objects, %.1f MB, %.2f KB each, fed %lld bytes at a time; median of %lld\n",
		       seen.n, mb, mb * 1e3 / (double)seen.n, (long long)chunk, (long long)rounds);
		printf("%-44s %13s %13s\n", "", "scanner", "jansson");
	}
	row("a KubeVirt list, validated and decoded", mb, median(scan, (int)rounds),
	    median(tree, (int)rounds));
	row("a KubeVirt list, packed for the cache", mb, median(pack, (int)rounds),
	    median(tree, (int)rounds));
	if (!str_eq(getenv("FORMAT"), "json")) {
		printf("kept: %.0f bytes an object\n", (double)kept.bytes / (double)kept.n);
	}
	return 0;
}
