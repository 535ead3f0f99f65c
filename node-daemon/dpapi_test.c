/* SPDX-License-Identifier: Apache-2.0 */
/* dpapi_test.c: bytes as the kubelet's own code (google.golang.org/protobuf) writes and reads them. */
#include "node-daemon/dpapi.h"

#include "base/arena.h"
#include "base/test.h"

static struct arena arena;
static struct buf buf;
static struct err err;

static void begin(void)
{
	arena_init(&arena, DPAPI_ARENA_MAX);
	buf_init(&buf, MiB);
	err.text[0] = 0;
}

static void end(void)
{
	arena_finish(&arena);
	buf_finish(&buf);
}

#define is_bytes(b, literal)                                                                       \
	do {                                                                                       \
		is_int((b)->len, sizeof(literal) - 1);                                             \
		ok(memcmp((b)->bytes, literal, sizeof(literal) - 1) == 0);                         \
	} while (0)

static void registers(void)
{
	begin();
	dpapi_write_register(&buf, "vmgpu.sock", "nvidia.com/X", true);
	is_bytes(&buf, "\x0a\x07v1beta1\x12\x0avmgpu.sock\x1a\x0cnvidia.com/X\x22\x02\x10\x01");
	buf_reset(&buf);
	dpapi_write_options(&buf, true);
	is_bytes(&buf, "\x10\x01");
	buf_reset(&buf);
	dpapi_write_options(&buf, false);
	is_int(buf.len, 0);
	end();
}

static void devices(void)
{
	static const struct dpapi_device list[] = {
		{"0000:01:00.0", true, -1}, {"b", false, 0}, {"c", true, 300}};

	begin();
	dpapi_write_devices(&buf, list, 3);
	is_bytes(&buf, "\x0a\x17\x0a\x0c"
		       "0000:01:00.0"
		       "\x12\x07Healthy"
		       /* node 0 is an empty message, and so is told from no topology */
		       "\x0a\x12\x0a\x01"
		       "b\x12\x09Unhealthy\x1a\x02\x0a\x00"
		       "\x0a\x13\x0a\x01"
		       "c\x12\x07Healthy\x1a\x05\x0a\x03\x08\xac\x02");
	buf_reset(&buf);
	dpapi_write_devices(&buf, NULL, 0);
	is_int(buf.len, 0);
	end();
}

static void grants(void)
{
	struct dpapi_variable variables[] = {{"PCI_RESOURCE_X", "0000:01:00.0"}, {"EMPTY", ""}};
	struct dpapi_file files[] = {{"/dev/vfio/1", "mrw"}};
	const struct dpapi_grant list[] = {
		{.variables = {variables, 2}, .files = {files, 1}},
		{.variables = {NULL, 0}},
	};

	begin();
	dpapi_write_grants(&buf, list, 2);
	is_bytes(&buf, "\x0a\x4a"
		       "\x0a\x1e\x0a\x0ePCI_RESOURCE_X\x12\x0c"
		       "0000:01:00.0"
		       "\x0a\x07\x0a\x05"
		       "EMPTY"
		       "\x1a\x1f\x0a\x0b/dev/vfio/1\x12\x0b/dev/vfio/1\x1a\x03mrw"
		       "\x0a\x00"); /* an empty answer is one, too: K3 of a token */
	end();
}

static void preferred(void)
{
	const char *ids[] = {"a", "bb"};
	const struct dpapi_ids list[] = {{ids, 2}, {NULL, 0}};

	begin();
	dpapi_write_preferred(&buf, list, 2);
	is_bytes(&buf, "\x0a\x07\x0a\x01"
		       "a\x0a\x02"
		       "bb\x0a\x00");
	end();
}

#define read_as(kind, literal, ret)                                                                \
	dpapi_read_##kind(literal, sizeof(literal) - 1, &arena, ret, &err)

static void allocate(void)
{
	struct dpapi_asks asks;

	begin();
	is_int(read_as(allocate,
		       "\x0a\x06\x0a\x01"
		       "a\x0a\x01"
		       "b\x0a\x00\x0a\x05\x0a\x03"
		       "ccc",
		       &asks),
	       0);
	is_int(asks.n, 3);
	is_int(asks.items[0].n, 2);
	is_str(asks.items[0].items[0], "a");
	is_str(asks.items[0].items[1], "b");
	is_int(asks.items[1].n, 0);
	is_str(asks.items[2].items[0], "ccc");
	is_int(read_as(allocate, "", &asks), 0);
	is_int(asks.n, 0);
	end();
}

/* What a later kubelet may add: fields of each wire type, at each level. */
static void unknown_fields(void)
{
	struct dpapi_asks asks;

	begin();
	is_int(read_as(allocate,
		       "\x7a\x03xyz\x78\x96\x01\x79\1\2\3\4\5\6\7\10\x7d\1\2\3\4"
		       "\x0a\x0a\x0a\x01"
		       "a\x10\x05\x1a\x03xyz",
		       &asks),
	       0);
	is_int(asks.n, 1);
	is_int(asks.items[0].n, 1);
	is_str(asks.items[0].items[0], "a");
	end();
}

static void wishes(void)
{
	struct dpapi_wishes w;

	begin();
	is_int(read_as(preferred,
		       "\x0a\x0b\x0a\x01"
		       "a\x0a\x01"
		       "b\x12\x01"
		       "b\x18\x02"
		       "\x0a\x0b\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		       &w),
	       0);
	is_int(w.n, 2);
	is_int(w.items[0].available.n, 2);
	is_str(w.items[0].available.items[1], "b");
	is_int(w.items[0].must.n, 1);
	is_int(w.items[0].size, 2);
	is_int(w.items[1].size, -1);
	end();
}

/* cpu_ids packed, memory, topology and claims are there and do not matter. */
static void pods(void)
{
	static const char list[] =
		"\x0a\x0b\x0a\x02p1\x12\x01n\x1a\x02\x0a\x00" /* a container without any */
		"\x0a\x3b\x0a\x02p2\x12\x02ns\x1a\x31\x0a\x01"
		"c"
		"\x12\x13\x0a\x05r.c/x\x12\x01"
		"a\x12\x01"
		"b\x1a\x04\x0a\x02\x08\x01"
		"\x12\x0a\x0a\x05r.c/y\x12\x01z"
		"\x1a\x03\x00\x01\x02\x22\x06\x0a\x02hp\x10\x05";
	static const char *const there[] = {NULL, "n/p1", "ns/p2"}, *const lacking[] = {
									    "ns/p1", "n/p", "n/p12",
									    "nn/p1", "np1", ""};
	struct dpapi_holds h;

	begin();
	for (size_t i = 0; i < ARRAY_LEN(lacking); i++) {
		is_int(dpapi_read_pods(list, sizeof(list) - 1, lacking[i], &arena, &h, &err), -1);
		has(err.text, "its list lacks pod ");
	}
	for (size_t i = 0; i < ARRAY_LEN(there); i++) {
		is_int(dpapi_read_pods(list, sizeof(list) - 1, there[i], &arena, &h, &err), 0);
	}
	is_int(h.n, 3);
	is_str(h.items[0].ns, "ns");
	is_str(h.items[0].pod, "p2");
	is_str(h.items[0].container, "c");
	is_str(h.items[0].resource, "r.c/x");
	is_str(h.items[0].id, "a");
	is_str(h.items[1].id, "b");
	is_str(h.items[2].resource, "r.c/y");
	is_str(h.items[2].id, "z");
	end();
}

static void allocatable(void)
{
	struct dpapi_holds h;

	begin();
	is_int(read_as(allocatable,
		       "\x0a\x0a\x0a\x05r.c/x\x12\x01"
		       "a\x0a\x07\x0a\x05r.c/y\x10\x01",
		       &h),
	       0);
	is_int(h.n, 1);
	ok(!h.items[0].ns && !h.items[0].pod && !h.items[0].container);
	is_str(h.items[0].resource, "r.c/x");
	is_str(h.items[0].id, "a");
	end();
}

static void no_messages(void)
{
	struct dpapi_asks asks = {.n = 77};

	begin();
	is_int(read_as(allocate, "\x0a\x05\x0a\x01", &asks), -1); /* shorter than it says */
	is_str(err.text, "4 bytes are no AllocateRequest of the kubelet's API");
	is_int(read_as(allocate,
		       "\x0a\x03\x0a\x05"
		       "a",
		       &asks),
	       -1);
	is_int(read_as(allocate, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", &asks), -1);
	is_int(read_as(allocate, "\x0b", &asks), -1); /* a group */
	is_int(asks.n, 77);
	end();
}

/* Two bytes of the wire are 56 of memory, and more while it is read. */
static void too_much_memory(void)
{
	size_t n = 4 * MiB;
	auto_free char *bytes = xmalloc(n);
	struct dpapi_holds h;

	for (size_t i = 0; i < n; i += 2) {
		memcpy(bytes + i, "\x0a\x00", 2);
	}
	begin();
	is_int(dpapi_read_pods(bytes, n, NULL, &arena, &h, &err), -1);
	has(err.text, "no ListResponse");
	is_int(dpapi_read_pods(bytes, 64 * KiB, NULL, &arena, &h, &err), 0);
	end();
}

TESTS({"a registration has version, socket, resource and options", registers},
      {"devices have ids, health, and a node where it is known", devices},
      {"a grant has variables and device files, an empty one is one", grants},
      {"a preference is a list of ids for each container", preferred},
      {"what is to be allocated is read container by container", allocate},
      {"what a later kubelet adds is skipped", unknown_fields},
      {"what is wished is read container by container", wishes},
      {"who holds what is read, and the rest of it skipped", pods},
      {"what the kubelet may give is read", allocatable},
      {"what is cut or malformed is no message, and nothing is written", no_messages},
      {"a message that would take too much memory is refused", too_much_memory}, )
