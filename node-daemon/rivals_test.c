/* SPDX-License-Identifier: Apache-2.0 */
/* Who else gives out which cards: machines from trees, and what other plugins are known to leave in
 * the kubelet's folder and in its list of devices. */
#include "node-daemon/rivals.h"

#include "base/test.h"
#include "node-daemon/layout_test.h"

#define L40S "nvidia.com/AD102GL_L40S"
#define A100 "nvidia.com/GA100_A100_PCIE_40GB"
#define S 1000

static struct arena arena;
static struct machine m;
static struct unit_list units;
static struct order order[8];
static struct book book[8];
static struct orders orders;
static struct books books;
static struct offers offers;
static struct rivals *r;
static struct rivals_seen seen;
static const char *why;

#define CARD(bus, id, driver, group)                                                               \
	"device 0000:" bus ":00.0 id=10de:" id " class=030200 driver=" driver " group=" group "\n"
#define TWO_AND_HOST                                                                               \
	CARD("41", "26b9", "vfio-pci", "11")                                                       \
	CARD("42", "26b9", "vfio-pci", "12")                                                       \
	CARD("43", "20b1", "nvidia", "13")                                                         \
	"device 0000:44:00.0 id=1002:74a1 class=038000 driver=amdgpu group=14\n"

static void end(void)
{
	r = rivals_destroy(r);
	arena_finish(&arena);
	machine_finish(&m);
}

/* All of them ordered to vfio-pci. */
static void begin(void)
{
	auto_tree struct tree t =
		tree_make("dir class/iommu/dmar0\ndir bus/pci/drivers/vfio-pci\n" TWO_AND_HOST);
	struct offers_seen ours;
	struct err err = {""};

	arena_init(&arena, 64 * MiB);
	machine_init(&m);
	is_int(scan(t.fd, &m, &err), 0);
	units_make(&m, &arena, &units);
	is_int(units.n, 4);
	orders = (struct orders){.term = 1, .items = {order, units.n}};
	books = (struct books){.items = {book, units.n}, .refusal = ""};
	for (size_t i = 0; i < units.n; i++) {
		order[i] = (struct order){.unit = &units.items[i], .want = WANT_VFIO};
		book[i] = (struct book){.id = units.items[i].card->address,
					.whose = BOOK_OURS,
					.name = "",
					.why = ""};
	}
	ours = (struct offers_seen){
		.machine = &m, .units = &units, .books = &books, .orders = &orders, .words = true};
	offers_make(&ours, &arena, &offers);
	r = rivals_create();
	seen = (struct rivals_seen){.units = &units, .offers = &offers};
}

static void sockets(const char *const *names, int64_t now)
{
	struct dpapi_ids ids = {.items = (const char **)names};

	while (names[ids.n]) {
		ids.n++;
	}
	rivals_sockets(r, &ids, now);
}
#define SOCKETS(now, ...) sockets((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL}, now)

/* RESOURCE, ID, RESOURCE, ID, ..., NULL */
static void devices(const char *const *all, int64_t now)
{
	struct dpapi_hold items[16];
	struct dpapi_holds holds = {.items = items};

	for (; *all; all += 2) {
		items[holds.n++] = (struct dpapi_hold){.resource = all[0], .id = all[1]};
	}
	rivals_devices(r, &holds, now);
}
#define DEVICES(now, ...) devices((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL}, now)

/* As which the units are given out: "41=..., 43=..."; why: of the last. */
static const char *given(int64_t now)
{
	const char *text = "";

	list_each(u, &units) {
		const char *as = rivals_unit(r, &seen, u, now, &arena, &why);
		char id[PCIFN_TEXT_MAX];

		if (as) {
			text = arena_printf(&arena, "%s%s%.2s=%s", text, *text ? ", " : "",
					    pcifn_text(u->card->address, id) + 5, as);
		}
	}
	return text;
}

static void plugins_are_known_by_their_sockets(void)
{
	begin();
	is_str(given(0), "");
	SOCKETS(0, "kubevirt-AD102GL_L40S.sock");
	is_str(given(0), "41=" L40S ", 42=" L40S);
	has(why, "NVIDIA's kubevirt-gpu-device-plugin gives it out as " L40S " on this node");
	has(why, "nvidia.com/gpu.deploy.sandbox-device-plugin=false");
	ok(rivals_name(r, L40S, 0));
	ok(!rivals_name(r, A100, 0));
	end();
	begin();
	SOCKETS(0, "kubevirt-nvidia.com-AD102GL_L40S.sock");
	is_str(given(0), "41=" L40S ", 42=" L40S);
	has(why, "KubeVirt's own device plugin, or Harvester's agent,");
	has(why, "externalResourceProvider: true");
	end();
	begin();
	SOCKETS(0, "nvidia.com-AD102GL_L40S.sock");
	is_str(given(0), "41=" L40S ", 42=" L40S);
	has(why, "another device plugin gives it out");
	end();
}

static void other_sockets_are_none(void)
{
	begin();
	SOCKETS(0, "kubevirt-kvm.sock", "kubevirt-AD102GL_L40.sock", "kubevirt-AD102GL_L40SX.sock",
		"kubevirt-nvidia.com-AD102GL_L40SX.sock", "nvidia.comxAD102GL_L40S.sock",
		"AD102GL_L40S", "kubevirt-.sock", ".sock", "kubevirt-AD102GL_L40S.sock.tmp");
	is_str(given(0), "");
	ok(!rivals_name(r, L40S, 0));
	ok(!rivals_name(r, "no-slash", 0));
	end();
}

static void who_has_left_may_come_back(void)
{
	begin();
	SOCKETS(10 * S, "kubevirt-AD102GL_L40S.sock");
	is_int(rivals_wake(r, 10 * S), INT64_MAX);
	SOCKETS(500 * S);
	ok(rivals_name(r, L40S, 500 * S));
	is_int(rivals_wake(r, 500 * S), 500 * S + RIVALS_GRACE_MS);
	SOCKETS(510 * S);
	ok(rivals_name(r, L40S, 500 * S + RIVALS_GRACE_MS - 1));
	ok(!rivals_name(r, L40S, 500 * S + RIVALS_GRACE_MS));
	SOCKETS(520 * S, "kubevirt-AD102GL_L40S.sock");
	SOCKETS(600 * S);
	ok(rivals_name(r, L40S, 620 * S));
	SOCKETS(640 * S);
	is_int(rivals_wake(r, 640 * S), INT64_MAX);
	ok(!rivals_name(r, L40S, 640 * S));
	end();
}

static void ids_of_ours_say_nothing_and_those_of_others_do(void)
{
	begin();
	DEVICES(0, L40S, "0000:41:00.0", "devices.kubevirt.io/kvm", "kvm0", "vmgpu.io/companion",
		"companion-0000:41:00.0", "nvidia.com/NVIDIA_A2-4Q", "0000:08:00.0/0");
	is_str(given(5 * S), "");
	ok(!rivals_name(r, L40S, 5 * S));
	ok(!rivals_name(r, "vmgpu.io/companion", 5 * S));
	ok(!rivals_name(r, "nvidia.com/NVIDIA_A2-4Q", 5 * S));
	is_int(rivals_doubt(r, &seen), INT64_MAX);
	DEVICES(6 * S, L40S, "0000:41:00.0", "devices.kubevirt.io/kvm", "kvm0", L40S, "d0");
	is_str(given(6 * S), "41=" L40S ", 42=" L40S);
	ok(rivals_name(r, L40S, 6 * S));
	end();
}

/* As the card of another name it counts when it is told twice: it may be what we were before. */
static void addresses_are_sure_after_a_while(void)
{
	begin();
	DEVICES(10 * S, "example.com/card", "0000:42:00.0");
	is_str(given(10 * S), "");
	is_int(rivals_doubt(r, &seen), 11 * S);
	DEVICES(10 * S + 500, "example.com/card", "0000:42:00.0");
	is_str(given(60 * S), "");
	is_int(rivals_doubt(r, &seen), 11 * S);
	DEVICES(11 * S, "example.com/card", "0000:42:00.0");
	is_int(rivals_doubt(r, &seen), INT64_MAX);
	is_str(given(11 * S), "42=example.com/card");
	has(why, "another device plugin gives it out as example.com/card");
	ok(!rivals_name(r, L40S, 11 * S));
	end();
	begin();
	DEVICES(10 * S, "nvidia.com/old-name", "0000:42:00.0");
	DEVICES(11 * S);
	is_int(rivals_doubt(r, &seen), INT64_MAX);
	is_str(given(12 * S), "");
	end();
}

static void groups(void)
{
	begin();
	DEVICES(0, "nvidia.com/mine", "12");
	is_str(given(0), "42=nvidia.com/mine");
	has(why, "KubeVirt's own device plugin gives it out as nvidia.com/mine");
	DEVICES(1, "nvidia.com/mine", "11", "nvidia.com/mine", "12");
	is_str(given(1), "41=nvidia.com/mine, 42=nvidia.com/mine");
	end();
	begin();
	DEVICES(0, "rdma/hca", "11", "rdma/hca", "99"); /* no group of a card */
	is_str(given(0), "");
	end();
	begin();
	DEVICES(0, "rdma/hca", "13"); /* on a driver of the host: KubeVirt lists none of these */
	is_str(given(0), "");
	end();
	begin();
	DEVICES(0, "x/y", "", "x/z", "11a", "x/a", "99999999999999999999");
	is_str(given(0), "");
	end();
}

static void containers(void)
{
	begin();
	DEVICES(0, "nvidia.com/gpu", "GPU-1b2c", "nvidia.com/gpu", "GPU-3d4e");
	is_str(given(0),
	       "43=nvidia.com/gpu"); /* of those on the host's driver, and of the vendor */
	has(why, "NVIDIA's device plugin, for containers,");
	has(why, "nvidia.com/gpu.deploy.device-plugin=false");
	end();
	begin();
	DEVICES(0, "nvidia.com/mig-1g.5gb", "MIG-1");
	is_str(given(0), "43=nvidia.com/mig-1g.5gb");
	end();
	begin();
	DEVICES(0, "nvidia.com/hostdev", "0000:07:00.1", "nvidia.com/rdma", "x");
	is_str(given(9 * S), "");
	end();
	begin();
	DEVICES(0, "amd.com/gpu", "card1");
	is_str(given(0), "44=amd.com/gpu");
	end();
	begin();
	DEVICES(0, "amd.com/gpu", "0000:44:00.0");
	DEVICES(1 * S, "amd.com/gpu", "0000:44:00.0");
	is_str(given(1 * S), "44=amd.com/gpu");
	end();
}

static void what_we_serve_is_ours(void)
{
	const struct plugin_offer exclusive = {.resource = "nvidia.com/n1-000042000"};
	struct plugin *p = plugin_create();

	begin();
	plugin_offers(p, &exclusive, 1);
	seen.plugin = p;
	DEVICES(0, "nvidia.com/n1-000042000", "0000:42:00.0");
	is_int(rivals_doubt(r, &seen), INT64_MAX);
	DEVICES(5 * S, "nvidia.com/n1-000042000", "0000:42:00.0");
	is_str(given(5 * S), "");
	end();
	plugin_destroy(p);
}

static void many(void)
{
	static char names[RIVALS_MAX + 10][24];
	static const char *list[RIVALS_MAX + 10];

	begin();
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(names[i], sizeof(names[i]), "s%zu.sock", i);
		list[i] = names[i];
	}
	rivals_sockets(r, &(struct dpapi_ids){list, ARRAY_LEN(list)}, 0);
	rivals_sockets(r, &(struct dpapi_ids){list, ARRAY_LEN(list)}, 1);
	is_str(given(1), "");
	end();
}

TESTS({"plugins are known by their sockets", plugins_are_known_by_their_sockets},
      {"other sockets are none", other_sockets_are_none},
      {"who has left may come back for a while", who_has_left_may_come_back},
      {"our ids say nothing, and those of others do",
       ids_of_ours_say_nothing_and_those_of_others_do},
      {"addresses are sure after a while", addresses_are_sure_after_a_while},
      {"IOMMU groups are KubeVirt's", groups},
      {"what is for containers has all that the vendor's driver has", containers},
      {"what we serve is ours", what_we_serve_is_ours}, {"there is a maximum", many}, )
