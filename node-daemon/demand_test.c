/* SPDX-License-Identifier: Apache-2.0 */
/* vGPUs given to a kubelet and taken back: on virtual time, with a played card, and with uses.h as it is. */
#include "node-daemon/demand.h"

#include "base/log.h"
#include "node-daemon/eyes_hand_test.h"
#include "node-daemon/obey_hand_test.h"
#include "node-daemon/tree_test.h"
#include "node-daemon/vgpu_node_test.h"
#include "node-daemon/write.h"

#define R4 "nvidia.com/NVIDIA_L40S-4Q"
#define ID(n) "0000:41:00.0/" #n

/* --- the node -------------------------------------------------------------------------------- */

static struct loop *const no_loop = NULL;
static struct demand *demand;
static struct uses *uses_of;
static struct tree tree = {.fd = -1};
static int looks, news;
static const char *pod; /* that has what `has_ids` names */
static const char *has_ids[8];
static size_t n_has;

static void on_news(attr_unused void *ctx)
{
	news++;
}

static void on_look(attr_unused void *ctx)
{
	looks++;
}

static void add_groups(void)
{
	for (int i = 0; i < 8; i++) {
		char at[PCIFN_TEXT_MAX];
		auto_free char *path =
			xprintf("bus/pci/devices/%s/iommu_group", pcifn_text(card_vf(i), at));
		auto_free char *to = xprintf("../../../../kernel/iommu_groups/%d", 100 + i);

		tree_link(&tree, path, to);
	}
}

static void know(bool anything)
{
	obey_is = anything ? (struct obey_facts){&card.m, &units, &books, &orders, boot, "node1"}
			   : (struct obey_facts){0};
	obey_has = &journal;
}

static void restart(void)
{
	demand = demand ? demand_destroy(demand) : NULL;
	uses_destroy(uses_of);
	is_int(n_asked + n_started, 0);
	uses_of = uses_create(boot);
	uses_restore(uses_of, journal.uses.items, journal.uses.n);
	demand = demand_create(&(struct demand_settings){.loop = no_loop,
							 .eyes = &(struct eyes_settings){0},
							 .sys = tree.fd,
							 .uses = uses_of,
							 .again = on_news,
							 .look = on_look});
	said[0] = '\0';
}

static const char *turn(void);

static void begin_node(enum vgpu_face face, uint16_t device, int vfs)
{
	log_setup(LOG_LEVEL_ERROR, STDERR_FILENO, NULL);
	begin(face, device, vfs);
	if (tree.fd >= 0) {
		tree_remove(&tree);
	}
	tree = tree_make("");
	add_groups();
	too_large = false;
	know(true);
	obey_append = append;
	disk = no_process = pod = NULL;
	n_has = 0;
	restart();
	turn();
	looks = news = 0;
}

static void end_node(void)
{
	demand = demand_destroy(demand);
	uses_of = uses_destroy(uses_of);
	tree_remove(&tree);
	is_int(n_asked + n_started, 0);
}

/* The list of pods. */
static void tell_pods(void)
{
	struct dpapi_hold holds[8];

	for (size_t i = 0; i < n_has; i++) {
		holds[i] = (struct dpapi_hold){"n", pod, "c", R4, has_ids[i]};
	}
	uses_pods(uses_of, &(struct dpapi_holds){holds, pod ? n_has : 0}, NULL, now);
}

static bool work_one(void)
{
	struct uses_work w;
	struct err err;
	int64_t wake;

	uses_next(uses_of, now, &w, &wake);
	switch (w.what) {
	case USES_WAIT:
		return false;
	case USES_RECORD:
		if (obey_record(NULL, &(struct journal_record){.use = w.record}, false, &err) < 0) {
			uses_record_failed(uses_of, w.id, err.text, now);
		}
		break;
	case USES_ANSWER:
		demand_answer(demand, &w);
		break;
	case USES_REFUSE:
		say("refuse %d: %s; ", ((struct grpc_call *)w.call)->number, w.text);
		break;
	case USES_ASK_PODS:
		tell_pods();
		break;
	case USES_ASK_HOLDERS:
		demand_ask_holders(demand, w.id);
		break;
	case USES_RESET:
		demand_remove(demand, w.id);
		break;
	}
	return true;
}

/* As supply.c has it. What was said since the last one. */
static const char *turn(void)
{
	struct uses_unit *list;
	size_t n;

	look();
	demand_turn(demand);
	demand_units(demand, &arena, &list, &n);
	uses_units(uses_of, list, n, now);
	while (work_one()) {
	}
	return heard();
}

static void ask_for(int call, const char *resource, const char *id, const char *id2)
{
	const char *ids[] = {id, id2};
	struct dpapi_ids one = {ids, id2 ? 2 : 1};

	uses_allocate(uses_of, &calls[call], resource, &(struct dpapi_asks){&one, 1}, now);
}

/* What obeying does with what is going. */
static void tidy_up(void)
{
	struct vgpu_tidying t;

	look();
	demand_given(demand, &arena, &node.uses);
	vgpu_tidy(&node, &units.items[0], 0, &arena, &t);
	list_each(s, &t.noted) {
		append_slot(s);
	}
	list_each(s, &t.before) {
		append_slot(s);
	}
	ok(run(&t.steps, &none) == DONE);
}

/* Child i does its steps on the card; why: the last one fails so. */
static void make_it(size_t i, const char *why)
{
	struct process *p = started[i];
	const struct write_job *job = p->spec.ctx;
	struct buf out = {.max = 64 * KiB};
	size_t n = job->steps->n;

	ok(p->spec.run == write_run);
	ok(job->sys == tree.fd && *p->spec.keep == tree.fd && p->spec.n_keep == 1);
	ok(p->spec.max_out > n * STEPS_LINE_MAX);
	for (size_t k = 0; k < n; k++) {
		bool done = k + 1 < n || !why;

		ok(!done || card_do(&card, &job->steps->items[k]));
		steps_say(&out, k, done, done ? "" : why);
	}
	process_say(p, buf_text(&out), &(struct process_result){.status = why != NULL});
	buf_finish(&out);
}

/* The whole way of one that is asked for. */
static void give(int call, const char *id)
{
	ask_for(call, R4, id, NULL);
	turn();
	is_int(n_started, 1);
	make_it(0, NULL);
	has(turn(), "reply ");
}

/* Pod p has these from now on. */
static void show(const char *name, const char *id, const char *id2)
{
	pod = name;
	has_ids[0] = id;
	has_ids[1] = id2;
	n_has = id2 ? 2 : 1;
	now += USES_SHOW_FIRST_MS;
	turn();
}

/* The pod ends, and is seen to have. */
static void end_of_pod(void)
{
	n_has = 0;
	uses_beat(uses_of, now);
	turn();
}

/* --- what there is ---------------------------------------------------------------------------- */

/* "a: 0 1! 2@3; b: 4": each list; ! is unhealthy */
static const char *lists(struct offers *o)
{
	const char *text = "";

	list_each(l, &o->lists) {
		text = arena_printf(&arena, "%s%s%s:", text, *text ? "; " : "",
				    strchr(l->resource, '/') + 1);
		list_each(d, &l->devices) {
			text = arena_printf(&arena, "%s %s%s", text, strchr(d->id, '/') + 1,
					    d->healthy ? "" : "!");
			is_int(d->numa, -1);
		}
	}
	return text;
}

static const char *offered(void)
{
	struct offers o = {0};

	look();
	demand_offer(demand, &o, &arena);
	return lists(&o);
}

/* " 0 1!" of that list, "-" where there is none. */
static const char *list_of(const char *resource)
{
	const char *from = strstr(offered(), resource);

	from = from ? from + strlen(resource) : NULL;
	return from && *from == ':' ? arena_strndup(&arena, from + 1, strcspn(from + 1, ";")) : "-";
}

static void ids(void)
{
	ok(demand_is(ID(0)) && demand_is(ID(31)));
	ok(!demand_is("0000:41:00.0") && !demand_is("x") && !demand_is(""));
}

static void lists_of_types(void)
{
	struct plugin_offer others[PLUGIN_RESOURCES_MAX + 1];
	struct offers o = {.lists = {others, 1}};

	begin_node(VGPU_VENDOR, 0x26b9, 2);
	is_str(list_of("L40S-24Q"), " 0 1");
	is_str(list_of("L40S-4Q"), " 0 1");
	give(1, ID(1));
	is_str(list_of("L40S-4Q"), " 0 1");
	is_str(list_of("L40S-4A"), " 0");
	is_str(list_of("L40S-24Q"), "-");
	show("p", ID(1), NULL);
	is_str(list_of("L40S-4Q"), " 0 1");
	card_remove(&card, 0); /* under its pod */
	is_str(list_of("L40S-4Q"), " 0 1!");
	card_create(&card, 0, 1150, "");
	end_of_pod();
	eyes_say(0, 0, BIND_USERS_SOME, "process 1 (x)"); /* so it is for nobody else */
	turn();
	is_str(list_of("L40S-4Q"), " 0 1!");
	know(false);
	is_str(offered(), "");
	know(true);
	obey_has = NULL;
	is_str(offered(), "");
	obey_has = &journal;
	/* behind others, as many as there may be */
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		others[i] = (struct plugin_offer){.resource = "x.com/x"};
	}
	look();
	demand_offer(demand, &o, &arena);
	ok(str_starts(lists(&o), "x:; NVIDIA_L40S-"));
	o.lists.items = others;
	o.lists.n = PLUGIN_RESOURCES_MAX - 1;
	demand_offer(demand, &o, &arena);
	is_int(o.lists.n, PLUGIN_RESOURCES_MAX);
	demand_offer(demand, &o, &arena);
	is_int(o.lists.n, PLUGIN_RESOURCES_MAX);
	/* what has no place any more has no list */
	card.numvfs = 0;
	is_str(offered(), "NVIDIA_L40S-4Q: 1!");
}

static const struct uses_unit *unit_said(const char *id, int *ret_times)
{
	static struct uses_unit found;
	struct uses_unit *list;
	size_t n;

	*ret_times = 0;
	look();
	demand_units(demand, &arena, &list, &n);
	for (size_t i = 0; i < n; i++) {
		if (str_eq(list[i].id, id)) {
			found = list[i];
			++*ret_times;
		}
	}
	return *ret_times ? &found : NULL;
}

static void units_for_uses(void)
{
	const struct uses_unit *u;
	int times;

	begin_node(VGPU_VENDOR, 0x26b9, 2);
	u = unit_said(ID(0), &times);
	is_int(times, 1); /* under whatever type, it is one device */
	is_str(u->place, "p/0");
	is_str(u->resource, "");
	is_str(u->why, "");
	is_str(u->methods, "removal");
	ok(u->vgpu && !u->hosted);
	give(1, ID(0));
	u = unit_said(ID(0), &times);
	is_int(times, 1);
	is_str(u->resource, R4);
	is_str(u->why, "");
	unit_said(ID(1), &times);
	is_int(times, 1);
	show("p", ID(0), NULL);
	card_remove(&card, 0);
	u = unit_said(ID(0), &times);
	is_str(u->why, "it is not there yet");
	know(false);
	ok(!unit_said(ID(0), &times));
}

static void preferred(void)
{
	const char *free_ids[] = {ID(3), ID(0), ID(1), ID(2)};
	const struct dpapi_wish wish = {{free_ids, 4}, {NULL, 0}, 2};
	struct dpapi_ids got;
	struct err err;

	begin_node(VGPU_VENDOR, 0x26b9, 4);
	is_int(demand_prefer(demand, R4, &wish, &arena, &got, &err), 0);
	is_str(got.items[0], ID(0));
	is_str(got.items[1], ID(1));
	give(1, ID(3)); /* and given back: it is there, and first */
	look();
	is_int(demand_prefer(demand, R4, &wish, &arena, &got, &err), 0);
	is_str(got.items[0], ID(3));
	is_str(got.items[1], ID(0));
	is_int(demand_prefer(demand, "x.com/x", &wish, &arena, &got, &err), 0);
	is_str(got.items[0], ID(0)); /* of what nobody knows by name */
	know(false);
	is_int(demand_prefer(demand, R4, &wish, &arena, &got, &err), 0);
	is_str(got.items[0], ID(0));
}

/* --- an Allocate -------------------------------------------------------------------------------- */

/* What a container gets of one function, with the lengths of texts that a letter can be. */
#define GETS(at, group)                                                                            \
	" &PCI_RESOURCE_NVIDIA_COM_NVIDIA_L40S-4Q " at                                             \
	" % /dev/vfio/vfio /dev/vfio/vfio mrw # /dev/vfio/" group " /dev/vfio/" group " mrw"

static void made_and_given(void)
{
	begin_node(VGPU_VENDOR, 0x26b9, 4);
	ask_for(1, R4, ID(2), NULL);
	is_str(turn(), "making 2 synced; ");
	is_int(n_started, 1);
	is_int(started[0]->spec.timeout_ms, USES_CALL_MS - 1000);
	is_str(turn(), "");
	is_int(looks, 0);
	make_it(0, NULL);
	is_int(looks, 1);
	is_int(news, 1);
	is_str(turn(), "made 2; reply 1 6" GETS("0000:41:00.4", "100") "; ");
	is_int(card.vgpus[0].id, 1150);
	is_str(journal.slots.items[0].state, JOURNAL_MADE);
	is_int(n_asked, 0);
	/* its pod never came; who asks for it again gets it as it is */
	now += 1;
	ask_for(2, R4, ID(2), NULL);
	turn();
	eyes_see_nobody();
	turn();
	is_str(journal.slots.items[0].state, JOURNAL_DROPPING);
	tidy_up();
	tidy_up();
	is_str(turn(), "making 2 synced; ");
	make_it(0, NULL);
	has(turn(), "made 2; reply 2 ");
	end_node();
}

static void iommufd(void)
{
	begin_node(VGPU_VENDOR, 0x26b9, 4);
	card.m.iommufd = true;
	ask_for(1, R4, ID(0), NULL);
	turn();
	make_it(0, NULL);
	has(turn(), "/dev/vfio/100 mrw /dev/iommu /dev/iommu mrw; ");
	end_node();
}

/* By UUIDs, whose groups are the devices' own. */
static void mediated(void)
{
	auto_free char *path = NULL;
	const char *uuid;

	begin_node(VGPU_MDEV, 0x25b6, 4);
	ask_for(1, "nvidia.com/NVIDIA_A2-4Q", ID(0), NULL);
	is_str(turn(), "making 0 synced; ");
	uuid = journal.slots.items[0].uuid;
	path = xprintf("bus/mdev/devices/%s/iommu_group", uuid);
	tree_link(&tree, path, "../../../../kernel/iommu_groups/77");
	make_it(0, NULL);
	has(turn(),
	    arena_printf(&arena, "MDEV_PCI_RESOURCE_NVIDIA_COM_NVIDIA_A2-4Q $%s %% /dev/vfio/vfio",
			 uuid));
	end_node();
}

/* One behind the other, and each container has its own. */
static void several(void)
{
	const char *a[] = {ID(0), ID(1)}, *b[] = {ID(2)};
	struct dpapi_ids each[] = {{a, 2}, {NULL, 0}, {b, 1}};

	begin_node(VGPU_VENDOR, 0x26b9, 4);
	uses_allocate(uses_of, &calls[1], R4, &(struct dpapi_asks){each, 3}, now);
	is_str(turn(), "making 0 synced; ");
	now += 2000;
	make_it(0, NULL);
	is_str(turn(), "made 0; making 1 synced; ");
	is_int(started[0]->spec.timeout_ms, USES_CALL_MS - 2000 - 1000); /* of the same time */
	make_it(0, NULL);
	is_str(turn(), "made 1; making 2 synced; ");
	make_it(0, NULL);
	has(turn(), "PCI_RESOURCE_NVIDIA_COM_NVIDIA_L40S-4Q 0000:41:00.4,0000:41:00.5 % "
		    "/dev/vfio/vfio /dev/vfio/vfio mrw # /dev/vfio/100 /dev/vfio/100 mrw # "
		    "/dev/vfio/101 /dev/vfio/101 mrw");
	is_int(n_started, 0);
	end_node();
}

/* The kubelet has its answer in time, whatever was waited for before. */
static void one_deadline(void)
{
	begin_node(VGPU_VENDOR, 0x26b9, 4);
	give(1, ID(0));
	show("p", ID(0), NULL);
	ask_for(2, R4, ID(1), ID(0)); /* of which one is to be looked after first */
	n_has = 0;
	turn();
	is_int(n_asked, 1);
	now += USES_CALL_MS - 2500;
	eyes_see_nobody();
	turn();
	tidy_up();
	tidy_up();
	is_str(turn(), "making 1 synced; ");
	is_int(started[0]->spec.timeout_ms, 1500);
	now += 501;
	make_it(0, NULL);
	is_str(turn(), "made 1; end 2 9: no time is left to make the vGPU; ask again; ");
	is_int(n_started, 0);
	end_node();
}

static const char *state_of(const char *id)
{
	static const char *const names[] = {"free",	 "given", "held",
					    "returning", "dirty", "unproven"};
	struct uses_view v;

	for (size_t i = 0; uses_each(uses_of, i, &v); i++) {
		if (str_eq(v.id, id)) {
			return names[v.state];
		}
	}
	return "none";
}

static const char *refusal(void)
{
	const char *text = turn(), *end = strstr(text, "end 1 9: ");

	ok(end);
	ok(!str_eq(state_of(ID(0)), "given"));
	is_int(n_started, 0);
	ok(looks && news);
	return end + strlen("end 1 9: ");
}

static void begin_asked(void)
{
	begin_node(VGPU_VENDOR, 0x26b9, 4);
	ask_for(1, R4, ID(0), NULL);
}

static void refusals(void)
{
	begin_asked();
	turn();
	make_it(0, "the firmware says no");
	is_str(refusal(), "the firmware says no; ");
	begin_asked();
	turn();
	process_say(started[0], "", &(struct process_result){.timed_out = true, .status = 137});
	has(refusal(), "the vGPU was not made in time; ask again, or look at the kernel's log; ");
	begin_asked();
	turn();
	disk = "no room"; /* what is made is given, since the record before says that it may be there */
	make_it(0, NULL);
	has(turn(), "reply 1 ");
	is_str(journal.slots.items[0].state, JOURNAL_MAKING);
	begin_asked();
	disk = "no room";
	has(turn(),
	    "refuse 1: 0000:41:00.0/0: what is given must be recorded before, and is not: no "
	    "room; ");
	begin_asked();
	no_process = "no more processes";
	is_str(refusal(), "no more processes; ");
	begin_asked();
	turn();
	tree_remove(&tree);
	tree = tree_make("");
	((struct write_job *)started[0]->spec.ctx)->sys = tree.fd;
	make_it(0, NULL);
	has(refusal(), "0000:41:00.4: the vGPU has no IOMMU group; the kernel's log says why; ");
	end_node();
	begin_node(VGPU_VENDOR, 0x26b9, 4);
	too_large = true;
	ask_for(1, R4, ID(0), NULL);
	turn();
	make_it(0, NULL);
	has(turn(), "end 1 13: the answer is larger than the kubelet takes; ");
	end_node();
}

/* Between the promise and the child the machine is another one. */
static void changed_meanwhile(void)
{
	struct uses_work w = {.call = &calls[1], .resource = R4, .deadline = now + 10000};
	const char *id = ID(0);
	struct dpapi_ids one = {&id, 1};
	struct dpapi_asks asks = {&one, 1};

	w.asks = &asks;
	begin_node(VGPU_VENDOR, 0x26b9, 4);
	w.deadline = now + 10000;
	know(false);
	demand_answer(demand, &w);
	has(refusal(), "0000:41:00.0/0: nothing is known of this node's devices now; ");
	know(true);
	w.resource = "nvidia.com/other";
	demand_answer(demand, &w);
	has(refusal(), "0000:41:00.0/0: its card does not offer nvidia.com/other now; ask again; ");
	w.resource = R4;
	id = "0000:99:00.0/0";
	demand_answer(demand, &w);
	has(refusal(), "0000:99:00.0/0: its card does not offer " R4 " now; ask again; ");
	id = ID(0);
	card_create(&card, 1, 1155, ""); /* of another size */
	look();
	demand_answer(demand, &w);
	has(refusal(), "0000:41:00.0/0: ");
	end_node();
}

static void nobody_waits(void)
{
	begin_asked();
	turn();
	demand_call_gone(demand, &calls[2]); /* another one */
	demand_call_gone(demand, &calls[1]);
	make_it(0, NULL);
	is_str(turn(), "made 0; ");
	is_str(state_of(ID(0)), "free");
	begin_asked();
	turn();
	demand_call_gone(demand, &calls[1]);
	make_it(0, "no");
	is_str(turn(), "");
	is_str(state_of(ID(0)), "free");
	end_node();
}

static void children_that_hang(void)
{
	begin_asked();
	turn();
	process_say(started[0], "", &(struct process_result){.stuck = true, .status = -1});
	has(turn(), "end 1 9: the vGPU was not made in time; ");
	process_end(started[0]); /* after all */
	is_int(n_started, 0);
	begin_asked();
	turn();
	process_say(started[0], "", &(struct process_result){.stuck = true, .status = -1});
	end_node(); /* nobody is told when it ends then */
	begin_asked();
	turn();
	end_node(); /* nor of one that runs */
}

/* --- who has one, and its end --------------------------------------------------------------------- */

static void who_has_it_open(void)
{
	begin_node(VGPU_VENDOR, 0x26b9, 4);
	give(1, ID(0));
	show("p", ID(0), NULL);
	end_of_pod();
	is_str(eyes_words(0, &arena), "0000:41:00.4: 0000:41:00.4=nvidia*");
	eyes_say(0, 0, BIND_USERS_SOME, "process 1 (qemu)");
	is_int(news, 2);
	turn();
	is_str(state_of(ID(0)), "returning");
	uses_beat(uses_of, now);
	turn();
	eyes_say(0, 0, BIND_USERS_UNKNOWN, "no answer");
	turn();
	is_str(state_of(ID(0)), "returning");
	uses_beat(uses_of, now);
	turn();
	is_int(n_asked, 1);
	eyes_see_nobody();
	is_str(turn(), "dropping 0 synced; ");
	end_node();
	begin_node(VGPU_MDEV, 0x25b6, 4);
	ask_for(1, "nvidia.com/NVIDIA_A2-4Q", ID(0), NULL);
	turn();
	{
		auto_free char *path =
			xprintf("bus/mdev/devices/%s/iommu_group", journal.slots.items[0].uuid);

		tree_link(&tree, path, "../../../../kernel/iommu_groups/77");
	}
	make_it(0, NULL);
	turn();
	show("p", ID(0), NULL);
	end_of_pod();
	is_str(eyes_words(0, &arena), arena_printf(&arena, "0000:41:00.4: 0000:41:00.4=nvidia*%s",
						   journal.slots.items[0].uuid));
	end_node(); /* with a question that is open */
}

/* What is not there nobody has open. */
static void nobody_to_ask(void)
{
	for (int i = 0; i < 3; i++) {
		begin_node(VGPU_VENDOR, 0x26b9, 4);
		give(1, ID(0));
		show("p", ID(0), NULL);
		if (i == 0) {
			card.numvfs = 0;
		} else if (i == 1) {
			journal.slots.items[0].vf = "x";
		} else {
			journal.slots.n = 0;
		}
		n_has = 0;
		uses_beat(uses_of, now);
		turn();
		is_int(n_asked, 0);
		ok(!str_eq(state_of(ID(0)), "held"));
		end_node();
	}
}

static void its_end(void)
{
	begin_node(VGPU_VENDOR, 0x26b9, 4);
	give(1, ID(0));
	show("p", ID(0), NULL);
	end_of_pod();
	looks = news = 0;
	eyes_see_nobody();
	is_str(turn(), "dropping 0 synced; ");
	is_int(looks, 1);
	is_int(news, 2);
	is_str(state_of(ID(0)), "returning");
	demand_given(demand, &arena, &node.uses);
	is_int(node.uses.n, 0);	      /* it is nobody's, or nobody could remove it */
	demand_remove(demand, ID(0)); /* once more */
	is_str(turn(), "");
	is_int(looks, 1);
	tidy_up();
	is_str(turn(), "");
	is_int(card.vgpus[0].id, 0);
	tidy_up(); /* then it is forgotten */
	is_str(turn(), "");
	is_str(turn(), "");
	is_str(state_of(ID(0)), "free");
	is_int(journal.slots.n, 0);
	is_str(turn(), "");
	/* with a journal that takes nothing it stays, as it was left, and is for nobody */
	begin_node(VGPU_VENDOR, 0x26b9, 4);
	give(1, ID(0));
	show("p", ID(0), NULL);
	end_of_pod();
	disk = "no room";
	eyes_see_nobody();
	turn();
	turn();
	is_str(journal.slots.items[0].state, JOURNAL_MADE);
	is_str(state_of(ID(0)), "dirty");
	disk = NULL;
	now += USES_DIRTY_FIRST_MS;
	turn();
	eyes_see_nobody();
	is_str(turn(), "dropping 0 synced; ");
	end_node();
}

/* One that is ordered is made anew at once, and is free then. */
static void made_anew(void)
{
	struct journal_slot s;

	begin_node(VGPU_VENDOR, 0x26b9, 4);
	give(1, ID(0));
	show("p", ID(0), NULL);
	end_of_pod();
	eyes_see_nobody();
	turn();
	s = journal.slots.items[0];
	s.state = JOURNAL_MADE;
	append_slot(&s);
	turn();
	is_str(state_of(ID(0)), "free");
	demand_given(demand, &arena, &node.uses);
	is_int(node.uses.n, 0);
	end_node();
}

static void who_has_what(void)
{
	struct report_obeyed report = {0};
	struct cut_use_list uses_now;

	begin_node(VGPU_VENDOR, 0x26b9, 4);
	give(1, ID(0));
	give(2, ID(1));
	demand_given(demand, &arena, &uses_now);
	is_int(uses_now.n, 2);
	is_int(uses_now.items[1].at, card_vf(1));
	is_str(uses_now.items[0].holder, "a pod that is being started");
	is_str(uses_now.items[0].uuid, "");
	show("p", ID(1), NULL);
	demand_given(demand, &arena, &uses_now);
	is_int(uses_now.n, 2);
	is_str(uses_now.items[1].holder, "pod n/p");
	demand_report(demand, &arena, &report);
	is_int(report.slots.n, 1);
	is_str(report.slots.items[0].vf, "0000:41:00.5");
	is_str(report.slots.items[0].uuid, "");
	is_str(report.slots.items[0].holder, "n/p");
	boot[0]++; /* of an older boot nothing is there */
	demand_given(demand, &arena, &uses_now);
	is_int(uses_now.n, 0);
	boot[0]--;
	journal.slots.items[1].vf = "x";
	demand_given(demand, &arena, &uses_now);
	is_int(uses_now.n, 1);
	end_node();
}

TESTS({"ids", ids}, {"each type is a list", lists_of_types},
      {"each number is one device", units_for_uses}, {"what is preferred", preferred},
      {"one is made and given", made_and_given}, {"with iommufd its node is given, too", iommufd},
      {"mediated devices by their UUIDs", mediated},
      {"several are made one behind the other", several},
      {"an Allocate has one deadline for the whole", one_deadline},
      {"what is refused is given to nobody", refusals},
      {"what has changed since the promise", changed_meanwhile},
      {"nobody waits any more", nobody_waits}, {"children that hang", children_that_hang},
      {"who has it open", who_has_it_open}, {"what is not there nobody has open", nobody_to_ask},
      {"its end is its removal", its_end}, {"made anew it is free", made_anew},
      {"who has what", who_has_what})
