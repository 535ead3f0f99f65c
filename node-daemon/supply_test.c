/* SPDX-License-Identifier: Apache-2.0 */
/* supply_test.c: one card on real sockets, beside a kubelet that is played on the same loop. */
#include "node-daemon/supply.h"

#include <fcntl.h>
#include <unistd.h>

#include "api/resource.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/test.h"
#include "node-daemon/dpapi.h"
#include "node-daemon/grpc_io.h"
#include "node-daemon/scan.h"
#include "node-daemon/tree_test.h"

#define ID "0000:01:00.0"
#define AUDIO "0000:01:00.1"
#define RESOURCE "nvidia.com/AD102GL_L40S"
#define VARIABLE "PCI_RESOURCE_NVIDIA_COM_AD102GL_L40S"

/* /sys, /proc and the folders of the kubelet in one. */
static const char world[] =
	"device 0000:00:01.0 id=8086:352a class=060400 driver=pcieport group=6\n"
	"device " ID " under=0000:00:01.0 id=10de:26b9 class=030200 driver=vfio-pci group=7\n"
	"  driver_override = vfio-pci\n"
	"  reset_method = flr bus\n"
	"  reset = \n"
	"device " AUDIO " under=0000:00:01.0 id=10de:22ba class=040300 driver=vfio-pci group=7\n"
	"  driver_override = vfio-pci\n"
	"dir devices/virtual/vfio/7\n"
	"  dev = 243:7\n"
	"dir class/vfio\n"
	"  7 -> ../../devices/virtual/vfio/7\n"
	"dir proc/1/fd\n"
	"  0 -> /dev/null\n"
	"dir proc/1\n"
	"  maps = \n"
	"dir proc/self/ns\n"
	"  pid -> pid:[4026531836]\n"
	"dir proc\n"
	"  devices = \n"
	"dir plugins\n"
	"dir pods\n"
	"dir state\n";

static struct loop *loop;
static struct tree tree = {.fd = -1};
static struct machine machine;
static struct obey *obey;
static struct supply *supply;
static char *state, *plugins, *pods;
static int proc, plugins_fd, pods_fd;
static struct err err;

/* --- the kubelet --------------------------------------------------------------------------- */

static struct grpc_listener *registry, *lister;
static size_t registrations;
static bool listed;

/* Pod p of n: container c has the card. */
static const char one_pod[] = "\x0a\x34"
			      "\x0a\x01p\x12\x01n\x1a\x2c"
			      "\x0a\x01"
			      "c\x12\x27"
			      "\x0a\x17" RESOURCE "\x12\x0c" ID;

static void on_list(void *ctx attr_unused, struct grpc_call *c, const void *m attr_unused,
		    size_t n attr_unused)
{
	grpc_reply(c, one_pod, listed ? sizeof(one_pod) - 1 : 0);
}

/* What can be had of it: card ID of example.com/card; or nothing. */
static const char of_another[] = "\x0a\x20\x0a\x10"
				 "example.com/card\x12\x0c" ID;
static bool anothers;
static size_t asked;

static void on_devices(void *ctx attr_unused, struct grpc_call *c, const void *m attr_unused,
		       size_t n attr_unused)
{
	asked++;
	grpc_reply(c, of_another, anothers ? sizeof(of_another) - 1 : 0);
}

static void on_register(void *ctx attr_unused, struct grpc_call *c, const void *m attr_unused,
			size_t n attr_unused)
{
	registrations++;
	grpc_reply(c, "", 0);
}

static const struct grpc_method registers[] = {{DPAPI_REGISTER, on_register, NULL}, {0}};
static const struct grpc_method lists[] = {
	{DPAPI_PODS, on_list, NULL}, {DPAPI_ALLOCATABLE, on_devices, NULL}, {0}};

static void kubelet_starts(void)
{
	const struct grpc_served registering = {.methods = registers, .max_message = KiB};
	const struct grpc_served listing = {.methods = lists, .max_message = KiB};

	registry = grpc_listen(loop, plugins_fd, "kubelet.sock", &registering, &err);
	lister = grpc_listen(loop, pods_fd, "kubelet.sock", &listing, &err);
	ok(registry && lister);
}

static bool answered;
static char answer[4096];

static void on_answer(void *ctx attr_unused, const struct grpc_answer *a)
{
	size_t n = MIN(a->n, sizeof(answer) - 1);

	answered = true;
	snprintf(answer, sizeof(answer), "%s", a->text);
	if (a->code == GRPC_OK) {
		memcpy(answer, a->message, n);
		answer[n] = '\0';
		for (size_t i = 0; i < n; i++) {
			answer[i] = (char)(answer[i] < ' ' ? ' ' : answer[i]);
		}
	}
}

/* What Allocate says, as text. */
static const char *allocate_of(const char *resource, const char *id)
{
	auto_free char *request =
		xprintf("\x0a%c\x0a%c%s", (char)(strlen(id) + 2), (char)strlen(id), id);
	auto_free char *socket_name =
		xprintf("vmgpu-%016llx.sock", (unsigned long long)hash_str(HASH_SEED, resource));
	const struct grpc_question q = {.path = DPAPI_ALLOCATE,
					.message = request,
					.n = strlen(request),
					.max = 64 * KiB,
					.timeout_ms = 20000,
					.done = on_answer};

	answered = false;
	ok(grpc_ask(loop, plugins_fd, socket_name, &q, &err));
	while (!answered) {
		loop_turn(loop, 100);
	}
	return answer;
}

static const char *allocate(void)
{
	return allocate_of(RESOURCE, ID);
}

/* --- us ------------------------------------------------------------------------------------ */

static void on_turned(void *ctx attr_unused)
{
	if (supply) {
		supply_turn(supply);
	}
}

static void ignore(void *ctx attr_unused)
{
}

static void begin_obey(void)
{
	static struct unit_order order = {
		.id = ID, .device = "10de:26b9", .want = "vfio", .by = "a test"};
	const struct node_orders orders = {.term = 1, .units = {&order, 1}};
	const struct obj node = {.generation = 1};

	obey = obey_create(&(struct obey_settings){.loop = loop,
						   .sys = tree.fd,
						   .proc = proc,
						   .state_dir = state,
						   .node = "n1",
						   .look = ignore,
						   .changed = ignore,
						   .turned = on_turned});
	obey_orders(obey, &orders, &node, 0);
	ok(scan(tree.fd, &machine, &err) == 0);
	obey_looked(obey, &machine);
}

static void begin_world(void)
{
	log_setup(LOG_LEVEL_ERROR, STDERR_FILENO, NULL);
	registrations = asked = 0;
	listed = anothers = false;
	loop = loop_create();
	tree = tree_make(world);
	tree_bytes(&tree, "bus/pci/devices/" ID "/config", "\xde\x10\xb9\x26", 4);
	state = xprintf("%s/state", tree.root);
	plugins = xprintf("%s/plugins", tree.root);
	pods = xprintf("%s/pods", tree.root);
	proc = openat(tree.fd, "proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	plugins_fd = open(plugins, O_PATH | O_DIRECTORY | O_CLOEXEC);
	pods_fd = open(pods, O_PATH | O_DIRECTORY | O_CLOEXEC);
	machine_init(&machine);
	begin_obey();
}

static void begin_supply(void)
{
	supply = supply_create(&(struct supply_settings){.loop = loop,
							 .eyes = {loop, NULL, tree.fd, proc, NULL},
							 .sys = tree.fd,
							 .obey = obey,
							 .plugins = plugins,
							 .pods = pods,
							 .changed = ignore,
							 .lost = ignore,
							 .look = ignore});
}

static void begin(void)
{
	begin_world();
	begin_supply();
	kubelet_starts();
	while (!registrations) {
		loop_turn(loop, 100);
	}
}

static void end(void)
{
	supply = supply_destroy(supply);
	obey = obey_destroy(obey);
	registry = grpc_unlisten(registry);
	lister = grpc_unlisten(lister);
	machine_finish(&machine);
	loop = loop_destroy(loop);
	close(proc);
	close(plugins_fd);
	close(pods_fd);
	free(state);
	free(plugins);
	free(pods);
	tree_remove(&tree);
}

static void held_by(const char *pod)
{
	struct report_obeyed said;
	struct arena a;
	bool right = false;

	while (!right) {
		arena_init(&a, MiB);
		said = (struct report_obeyed){0};
		loop_turn(loop, 100);
		supply_beat(supply);
		supply_report(supply, &a, &said);
		is_int(said.listed.n, 1);
		is_str(said.listed.items[0].resource, RESOURCE);
		list_each(use, &said.uses) {
			right |= str_eq(use->pod ? use->pod : "", pod);
		}
		arena_finish(&a);
	}
}

/* The message of the condition of that reason, "": there is none. */
static const char *noted(const char *reason)
{
	static char text[512];
	struct report_obeyed said = {0};
	struct arena a;

	arena_init(&a, MiB);
	text[0] = '\0';
	supply_report(supply, &a, &said);
	list_each(n, &said.notes) {
		if (str_eq(n->condition.reason, reason)) {
			snprintf(text, sizeof(text), "%s", n->condition.message);
		}
	}
	arena_finish(&a);
	return text;
}

/* What a container gets is named after the resource, whatever became of who had it before. */
static void given_again(void)
{
	begin();
	has(allocate(), VARIABLE);
	listed = true;
	held_by("p");
	has(allocate(), ID ": another pod has it");
	listed = false;
	has(allocate(), VARIABLE);
	has(answer, "/dev/vfio/7");
	has(allocate(), VARIABLE); /* nobody showed */
	end();
}

static void free_again(void)
{
	struct arena a;

	arena_init(&a, MiB);
	for (int i = 0; i < 200 && supply_busy(supply, 0x100, &a); i++) {
		loop_turn(loop, 100);
		supply_beat(supply);
	}
	ok(!supply_busy(supply, 0x100, &a));
	arena_finish(&a);
}

/* Nothing tells that a card has died: the next look does. */
static void dies(void)
{
	static const char alive[] = "\xde\x10\xb9\x26";

	begin();
	has(allocate(), VARIABLE);
	listed = true;
	held_by("p");
	listed = false;
	held_by("");
	free_again();
	tree_bytes(&tree, "bus/pci/devices/" ID "/config", "\xff\xff\xff\xff", 4);
	obey_looked(obey, &machine);
	is_str(noted("NotAdvertised"),
	       "its config space reads as ones: the card is dead or has lost its power; a power "
	       "cycle of the machine may bring it back");
	tree_bytes(&tree, "bus/pci/devices/" ID "/config", alive, 4);
	obey_looked(obey, &machine);
	is_str(noted("NotAdvertised"), "");
	for (int i = 0; i < 100 && registrations < 2; i++) {
		loop_turn(loop, 100);
	}
	has(allocate(), VARIABLE);
	end();
}

/* As which another plugin gives it out, by the report; NULL: none does. In the arena. */
static const char *served_by(struct arena *a)
{
	struct report_obeyed said = {0};
	const char *by = NULL;

	supply_report(supply, a, &said);
	list_each(s, &said.served) {
		by = s->resource;
	}
	list_each(n, &said.notes) {
		if (by && str_eq(n->condition.reason, "ServedByOther")) {
			has(n->condition.message, "gives it out as example.com/card");
			return by;
		}
	}
	return NULL;
}

/* Who was there before us keeps it: it is neither reset nor listed by us. */
static void anothers_card(void)
{
	char *reset = xprintf("bus/pci/devices/" ID "/reset"), written[8] = "";
	const char *by = NULL;
	struct arena a;
	int fd;

	arena_init(&a, MiB);
	begin_world();
	anothers = true;
	kubelet_starts();
	begin_supply();
	while (!by) {
		loop_turn(loop, 100);
		by = served_by(&a);
	}
	is_str(by, "example.com/card");
	ok(asked >= 2); /* it was made sure of */
	is_int(registrations, 0);
	fd = openat(tree.fd, reset, O_RDONLY | O_CLOEXEC);
	ok(fd >= 0 && read(fd, written, sizeof(written) - 1) <= 1 && !strchr(written, '1'));
	close(fd);
	free(reset);
	end();
	arena_finish(&a);
}

/* The card's Allocate names its audio function, that of the token nothing, whoever asks. */
static void audio_comes_along(void)
{
	begin();
	while (registrations < 2) {
		loop_turn(loop, 100);
	}
	has(allocate(), VARIABLE);
	has(answer, "PCI_RESOURCE_VMGPU_IO_COMPANION");
	has(answer, AUDIO);
	for (size_t i = 0; i < 2; i++) {
		is_str(allocate_of(RESOURCE_COMPANION, "companion-" ID),
		       "  "); /* a container, empty */
	}
	end();
}

TESTS({"a card that another plugin gives out is left to it", anothers_card},
      {"a card goes with its audio function, a token with nothing", audio_comes_along},
      {"a card that was held is given again under its name", given_again},
      {"a card that dies is listed no more from the next look on", dies}, )
