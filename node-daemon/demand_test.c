/* SPDX-License-Identifier: Apache-2.0 */
/* Which vGPUs there are for a kubelet, and an Allocate of them. */
#include "node-daemon/demand_hand_test.h"

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
	restart(); /* who has what is not known yet: what the kubelet was told stays so */
	is_str(list_of("L40S-4Q"), " 0 1");
	turn();
	eyes_see_nobody();
	begin_node(VGPU_VENDOR, 0x26b9, 2);
	give(1, ID(0));
	show("p", ID(0), NULL);
	end_of_pod();
	eyes_say(0, 0, BIND_USERS_SOME, "process 1 (x)");
	turn();
	is_str(list_of("L40S-4Q"), " 0! 1");
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
	is_str(offered(), "NVIDIA_L40S-4Q: 0!");
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
	unit_said(ID(1), &times);
	is_int(times, 1); /* under whatever type, it is one device */
	u = unit_said(ID(0), &times);
	is_int(times, 1);
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

/* The first one of all, too. */
static void whatever_type(void)
{
	const char *first;

	begin_node(VGPU_VENDOR, 0x26b9, 4);
	first = offered();
	first = xstrndup(first, strcspn(first, ":"));
	ask_for(1, arena_printf(&arena, "nvidia.com/%s", first), ID(1), NULL);
	is_str(turn(), "making 1 synced; ");
	is_int(n_started, 1);
	make_it(0, NULL);
	has(turn(), arena_printf(&arena, "PCI_RESOURCE_NVIDIA_COM_%s 0000:41:00.4", first));
	look();
	{
		const char *both[] = {ID(0), ID(1)};
		const struct dpapi_wish wish = {{both, 2}, {NULL, 0}, 1};
		struct dpapi_ids got;
		struct err err;

		is_int(demand_prefer(demand, arena_printf(&arena, "nvidia.com/%s", first), &wish,
				     &arena, &got, &err),
		       0);
		is_str(got.items[0], ID(1)); /* that is made */
	}
	free((char *)(uintptr_t)first);
	end_node();
}

static void group_0(void)
{
	begin_node(VGPU_VENDOR, 0x26b9, 4);
	tree_link(&tree, "bus/pci/devices/0000:41:00.4/iommu_group",
		  "../../../../kernel/iommu_groups/0");
	give_as(1, ID(0), "/dev/vfio/0 mrw");
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
static void one_deadline_with(int late)
{
	begin_node(VGPU_VENDOR, 0x26b9, 4);
	give(1, ID(0));
	show("p", ID(0), NULL);
	ask_for(2, R4, ID(1), ID(0)); /* of which one is to be looked after first */
	n_has = 0;
	turn();
	is_int(n_asked, 1);
	now += USES_CALL_MS - 2500 + late;
	eyes_see_nobody();
	turn();
	tidy_up();
	tidy_up();
	is_str(turn(), "making 1 synced; ");
	is_int(started[0]->spec.timeout_ms, 1500 - late);
	now += 500; /* a second is left, and the one for a child that hangs */
	make_it(0, NULL);
	has(turn(), late ? "made 1; end 2 9: no time is left to make the vGPU; ask again; "
			 : "made 1; making 0 synced; ");
	is_int(n_started, !late);
	end_node();
}

static void one_deadline(void)
{
	one_deadline_with(0);
	one_deadline_with(1);
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
	process_says(started[0], "", &(struct process_result){.timed_out = true, .status = 137});
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
	process_says(started[0], "", &(struct process_result){.stuck = true, .status = -1});
	has(turn(), "end 1 9: the vGPU was not made in time; ");
	process_ends(started[0]); /* after all */
	is_int(n_started, 0);
	begin_asked();
	turn();
	process_says(started[0], "", &(struct process_result){.stuck = true, .status = -1});
	end_node(); /* nobody is told when it ends then */
	begin_asked();
	turn();
	end_node(); /* nor of one that runs */
}

TESTS({"ids", ids}, {"each type is a list", lists_of_types},
      {"each number is one device", units_for_uses}, {"what is preferred", preferred},
      {"one is made and given", made_and_given}, {"of any type", whatever_type},
      {"IOMMU group 0 is one", group_0}, {"with iommufd its node is given, too", iommufd},
      {"mediated devices by their UUIDs", mediated},
      {"several are made one behind the other", several},
      {"an Allocate has one deadline for the whole", one_deadline},
      {"what is refused is given to nobody", refusals},
      {"what has changed since the promise", changed_meanwhile},
      {"nobody waits any more", nobody_waits}, {"children that hang", children_that_hang})
