/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decode: how fast a list of KubeVirt VirtualMachines becomes what the cache keeps, by the scanner and by jansson, from
 * the same bytes in the same run.
 *
 *	decode [-n OBJECTS] [-r ROUNDS] [-c CHUNK] [-f FILE]
 *
 * FILE: a recorded list (kubectl get vm -A -o json); else one is made up, sized and shaped like a real one: 5.8 KB an
 * object, 31 % of it managedFields, 27 % annotations (most of it last-applied-configuration, text in a string). CHUNK:
 * bytes a feed, 16 KiB as they come from curl. FORMAT=json in the environment gives one row a line.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "json/scan.h"

/* --- a list ----------------------------------------------------------------------------------- */

static const char *const sizes[] = {"u1.medium", "u1.large", "cx1.xlarge", "m1.2xlarge"};
static const char *const gpus[] = {"nvidia.com/L40S", "nvidia.com/H100_94GB", "nvidia.com/A100_80GB", "nvidia.com/A2"};

static void add_spec(struct buf *b, int i)
{
	buf_printf(b,
		   "{\"instancetype\":{\"kind\":\"virtualmachineclusterinstancetype\",\"name\":\"%s\"},\"preference\":"
		   "{\"kind\":\"virtualmachineclusterpreference\",\"name\":\"ubuntu\"},\"runStrategy\":\"Always\",\"template\":"
		   "{\"metadata\":{\"annotations\":{\"kubevirt.io/allow-pod-bridge-network-live-migration\":\"true\"},\"labels\":"
		   "{\"app.kubernetes.io/instance\":\"virtual-machine-%d\",\"app.kubernetes.io/name\":\"virtual-machine\"}},"
		   "\"spec\":{\"domain\":{\"devices\":{\"disks\":[{\"bootOrder\":1,\"disk\":{\"bus\":\"scsi\"},\"name\":"
		   "\"systemdisk\"},{\"disk\":{\"bus\":\"virtio\"},\"name\":\"cloudinitdisk\"}],\"gpus\":[{\"deviceName\":"
		   "\"%s\",\"name\":\"gpu1\"}],\"interfaces\":[{\"bridge\":{},\"name\":\"default\"}]},",
		   sizes[i % 4], i, gpus[i / 3 % 4]);
	buf_printf(b,
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
	buf_printf(&applied,
		   "{\"apiVersion\":\"kubevirt.io/v1\",\"kind\":\"VirtualMachine\",\"metadata\":{\"annotations\":{},\"labels\":"
		   "{\"app.kubernetes.io/instance\":\"virtual-machine-%d\"},\"name\":\"virtual-machine-%d\",\"namespace\":"
		   "\"tenant-%d\"},\"spec\":%.900s...}\n",
		   i, i, i % 40, spec);
	buf_str(b, "\"annotations\":{\"kubectl.kubernetes.io/last-applied-configuration\":");
	buf_json_str(b, applied.bytes);
	buf_printf(b,
		   ",\"kubemacpool.io/transaction-timestamp\":\"2026-07-02T11:04:%02d.551938463Z\",\"kubevirt.io/"
		   "latest-observed-api-version\":\"v1\",\"kubevirt.io/storage-observed-api-version\":\"v1\",\"vmgpu.io/intent\":"
		   "\"%016x\"}",
		   i % 60, i * 2654435761u);
}

static void add_managed_fields(struct buf *b, int i)
{
	buf_printf(b,
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
	buf_printf(b,
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
	buf_printf(b,
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
	buf_printf(b,
		   ",\"creationTimestamp\":\"2026-07-02T11:04:%02dZ\",\"finalizers\":[\"kubevirt.io/"
		   "virtualMachineControllerFinalize\"],\"generation\":2,\"labels\":{\"app.kubernetes.io/instance\":"
		   "\"virtual-machine-%d\",\"app.kubernetes.io/managed-by\":\"vmgpu\",\"app.kubernetes.io/name\":\"virtual-machine\"},",
		   i % 60, i);
	add_managed_fields(b, i);
	buf_printf(b,
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
	buf_str(b, "{\"apiVersion\":\"kubevirt.io/v1\",\"kind\":\"VirtualMachineList\",\"metadata\":{\"continue\":\"\","
		   "\"resourceVersion\":\"73846251\"},\"items\":[");
	for (int i = 0; i < n; i++) {
		buf_str(b, i ? "," : "");
		add_object(b, i);
	}
	buf_str(b, "]}\n");
}

/* --- what the cache keeps of one ---------------------------------------------------------------- */

struct managed {
	const char *manager, *operation, *subresource;
	uint64_t fields;
};
struct owner {
	const char *kind, *name, *uid;
	tri controller;
};
struct condition {
	const char *type, *status, *reason, *message, *since;
};
struct device {
	const char *name, *device_name;
};
struct vm {
	const char *name, *ns, *uid, *rv, *deleting, *intent, *managed_by, *run_strategy, *firmware_uuid, *printable_status;
	int64_t generation;
	uint64_t owned;
	tri created, ready;
	LIST(struct managed) managed;
	LIST(struct owner) owners;
	LIST(struct device) gpus, host_devices;
	LIST(struct condition) conditions;
};

#define TABLE(name, ...)                                                  \
	static const struct field name##_fields[] = {__VA_ARGS__, {0}}; \
	static const struct type name = {#name, sizeof(T), name##_fields, NULL}

#define T struct managed
TABLE(managed_type, FIELD(T, manager, "manager", TYPE_STR), FIELD(T, operation, "operation", TYPE_STR),
      FIELD(T, subresource, "subresource", TYPE_STR), FIELD(T, fields, "fieldsV1", TYPE_HASH));
#undef T
#define T struct owner
TABLE(owner_type, FIELD(T, kind, "kind", TYPE_STR, .flags = TYPE_INTERN), FIELD(T, name, "name", TYPE_STR),
      FIELD(T, uid, "uid", TYPE_STR), FIELD(T, controller, "controller", TYPE_BOOL));
#undef T
#define T struct condition
TABLE(condition_type, FIELD(T, type, "type", TYPE_STR, .flags = TYPE_INTERN),
      FIELD(T, status, "status", TYPE_STR, .flags = TYPE_INTERN), FIELD(T, reason, "reason", TYPE_STR, .flags = TYPE_INTERN),
      FIELD(T, message, "message", TYPE_STR, .flags = TYPE_INTERN), FIELD(T, since, "lastTransitionTime", TYPE_STR));
#undef T
#define T struct device
TABLE(device_type, FIELD(T, name, "name", TYPE_STR, .flags = TYPE_INTERN),
      FIELD(T, device_name, "deviceName", TYPE_STR, .flags = TYPE_INTERN));
#undef T
#define T struct vm
TABLE(labels_type, FIELD(T, managed_by, "app.kubernetes.io/managed-by", TYPE_STR, .flags = TYPE_INTERN));
TABLE(annotations_type, FIELD(T, intent, "vmgpu.io/intent", TYPE_STR));
TABLE(metadata_type, FIELD(T, name, "name", TYPE_STR), FIELD(T, ns, "namespace", TYPE_STR, .flags = TYPE_INTERN),
      FIELD(T, uid, "uid", TYPE_STR), FIELD(T, rv, "resourceVersion", TYPE_STR), FIELD(T, generation, "generation", TYPE_INT),
      FIELD(T, deleting, "deletionTimestamp", TYPE_STR),
      FIELD(T, managed, "managedFields", TYPE_OBJS, .flags = TYPE_TRANSIENT, .sub = &managed_type),
      FIELD(T, owned, "owned", TYPE_HASH, .flags = TYPE_DERIVED),
      FIELD(T, owners, "ownerReferences", TYPE_OBJS, .sub = &owner_type), FIELD_INLINE("labels", &labels_type),
      FIELD_INLINE("annotations", &annotations_type));
TABLE(firmware_type, FIELD(T, firmware_uuid, "uuid", TYPE_STR));
TABLE(devices_type, FIELD(T, gpus, "gpus", TYPE_OBJS, .sub = &device_type),
      FIELD(T, host_devices, "hostDevices", TYPE_OBJS, .sub = &device_type));
TABLE(domain_type, FIELD_INLINE("devices", &devices_type), FIELD_INLINE("firmware", &firmware_type));
TABLE(template_spec_type, FIELD_INLINE("domain", &domain_type));
TABLE(template_type, FIELD_INLINE("spec", &template_spec_type));
TABLE(spec_type, FIELD(T, run_strategy, "runStrategy", TYPE_STR, .flags = TYPE_INTERN), FIELD_INLINE("template", &template_type));
TABLE(status_type, FIELD(T, printable_status, "printableStatus", TYPE_STR, .flags = TYPE_INTERN),
      FIELD(T, created, "created", TYPE_BOOL), FIELD(T, ready, "ready", TYPE_BOOL),
      FIELD(T, conditions, "conditions", TYPE_OBJS, .sub = &condition_type));
static const struct field vm_fields[] = {
	FIELD_INLINE("metadata", &metadata_type),
	FIELD_INLINE("spec", &spec_type),
	FIELD_INLINE("status", &status_type),
	{0},
};
#undef T

static void vm_finish(void *object)
{
	struct vm *vm = object;

	list_each(one, &vm->managed) {
		if (str_eq(one->manager, "vmgpu") && str_eq(one->operation, "Apply")) {
			vm->owned = one->fields;
		}
	}
}

static const struct type vm_type = {"VirtualMachine", sizeof(struct vm), vm_fields, vm_finish};

/* --- the race ----------------------------------------------------------------------------------- */

struct kept {
	struct intern *in;
	void **objects; /* NULL: decoded, but not packed */
	size_t n, bytes;
};

static void keep(void *ctx, const struct scan_event *event)
{
	struct kept *k = ctx;

	if (k->objects) {
		k->objects[k->n] = type_pack(&vm_type, event->object, k->in);
		k->bytes += type_packed_size(&vm_type, event->object);
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
	struct scan *s = scan_create(&vm_type, SCAN_LIST, keep, k);
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
		type_free(&vm_type, k.objects[i], k.in);
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

static void row(const char *name, double ours, double peer, const char *unit)
{
	if (str_eq(getenv("FORMAT"), "json")) {
		printf("{\"name\":\"%s\",\"ours\":%.3f,\"peer\":%.3f,\"floor\":null,\"unit\":\"%s\",\"ratio\":%.4f}\n", name,
		       ours, peer, unit, ours / peer);
	} else {
		printf("%-44s %10.1f %10.1f %-6s %6.1f x\n", name, ours, peer, unit, ours / peer);
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
		int bad = c == 'n' ? parse_int(optarg, 1, 1000000, &n) :
			  c == 'r' ? parse_int(optarg, 1, MAX_ROUNDS, &rounds) :
			  c == 'c' ? parse_int(optarg, 1, INT32_MAX, &chunk) :
			  c == 'f' ? (file = optarg, 0) :
				     -1;

		if (bad) {
			fprintf(stderr, "usage: decode [-n OBJECTS] [-r ROUNDS] [-c CHUNK] [-f FILE]\n");
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
		printf("%zu objects, %.1f MB, %.2f KB each, fed %lld bytes at a time; median of %lld\n", seen.n, mb,
		       mb * 1e3 / (double)seen.n, (long long)chunk, (long long)rounds);
		printf("%-44s %10s %10s\n", "", "scanner", "jansson");
	}
	row("decode: cpu rate of a VM list, validated", mb / median(scan, (int)rounds), mb / median(tree, (int)rounds), "MB/s");
	row("decode: the same, packed for the cache", mb / median(pack, (int)rounds), mb / median(tree, (int)rounds), "MB/s");
	if (!str_eq(getenv("FORMAT"), "json")) {
		printf("kept: %.0f bytes an object\n", (double)kept.bytes / (double)kept.n);
	}
	return 0;
}
