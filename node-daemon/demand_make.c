/* SPDX-License-Identifier: Apache-2.0 */
/* An Allocate of vGPUs: each is made by a child, then their container gets them. */
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/resource.h"
#include "base/log.h"
#include "base/process.h"
#include "node-daemon/demand_inner.h"
#include "node-daemon/grpc.h"
#include "node-daemon/sysfs.h"
#include "node-daemon/write.h"

#define STUCK_MS 1000 /* behind its deadline a child that hangs is told of (process.h) */
#define LEAST_MS 1000 /* with less there is no use in beginning */

/* What one device has become. */
struct made {
	uint64_t at;
	const char *uuid;
};

struct make {
	struct write_job job; /* first: what the child sees as its context */
	struct demand *v;
	struct link link;
	struct arena arena;
	struct grpc_call *call; /* NULL: nobody waits any more */
	int64_t deadline;
	const char *resource;
	struct dpapi_asks asks;
	struct dpapi_grant *grants;
	LIST(struct made) made; /* of the container whose turn it is */
	size_t container;
	struct steps steps;
	struct journal_slot after;
	struct process *process;
};

static void make_free(struct make *m)
{
	link_remove(&m->link);
	arena_finish(&m->arena);
	free(m);
}

/* What was given by the books goes back. */
static void refuse(struct make *m, const char *why)
{
	struct demand *v = m->v;

	log_warn("the kubelet asked in vain", log_str("reason", why));
	if (m->call) {
		grpc_end(m->call, GRPC_FAILED_PRECONDITION, why);
	}
	list_each(ids, &m->asks) {
		list_each(id, ids) {
			uses_not_given(v->s.uses, *id, demand_now(v));
		}
	}
	m->call = NULL;
	v->s.look(v->s.ctx);
	v->s.again(v->s.ctx);
}

static void reply(struct make *m)
{
	auto_buf struct buf b = {.max = GRPC_SEND_MAX};

	buf_init(&b, GRPC_SEND_MAX);
	if (!m->call) {
		refuse(m, "the kubelet does not wait any more");
		return;
	}
	dpapi_write_grants(&b, m->grants, m->asks.n);
	if (!buf_ok(&b) || grpc_reply(m->call, buf_text(&b), b.len) < 0) {
		grpc_end(m->call, GRPC_INTERNAL, "the answer is larger than the kubelet takes");
	}
	m->call = NULL;
	m->v->s.look(m->v->s.ctx);
	m->v->s.again(m->v->s.ctx);
}

/* IOMMU group of the function, or of the mediated device. -1: none. */
static int64_t group_of(const struct make *m, const struct made *d)
{
	char at[PCIFN_TEXT_MAX], group[32];
	auto_free char *link =
		*d->uuid ? xprintf("bus/mdev/devices/%s/iommu_group", d->uuid)
			 : xprintf("bus/pci/devices/%s/iommu_group", pcifn_text(d->at, at));
	int64_t ret;

	return sysfs_link_name(m->v->s.sys, link, group, sizeof(group)) > 0 &&
			       parse_int(group, 0, INT32_MAX, &ret) == 0
		       ? ret
		       : -1;
}

/* kubevirt.md 2: as for GPUs that are passed on whole, mediated devices by their UUIDs. */
static int grant(struct make *m, struct err *err)
{
	struct dpapi_grant *g = &m->grants[m->container];
	bool mdev = *m->made.items[0].uuid;
	struct obey_facts f;
	const char *value = "";
	char at[PCIFN_TEXT_MAX];

	g->files.items = arena_array(&m->arena, struct dpapi_file, m->made.n + 2);
	g->files.items[g->files.n++] = (struct dpapi_file){"/dev/vfio/vfio", "mrw"};
	list_each(d, &m->made) {
		int64_t group = group_of(m, d);

		if (group < 0) {
			return err_set(err,
				       "%s: the vGPU has no IOMMU group; the kernel's log says why",
				       pcifn_text(d->at, at));
		}
		value = arena_printf(&m->arena, "%s%s%s", value, *value ? "," : "",
				     mdev ? d->uuid : pcifn_text(d->at, at));
		g->files.items[g->files.n++] = (struct dpapi_file){
			arena_printf(&m->arena, "/dev/vfio/%" PRId64, group), "mrw"};
	}
	obey_facts(m->v->s.obey, &f);
	if (f.machine && f.machine->iommufd) {
		g->files.items[g->files.n++] = (struct dpapi_file){"/dev/iommu", "mrw"};
	}
	g->variables.items = arena_array(&m->arena, struct dpapi_variable, 1);
	g->variables.n = 1;
	g->variables.items[0] =
		(struct dpapi_variable){mdev ? resource_mdev_variable(m->resource, &m->arena)
					     : resource_pci_variable(m->resource, &m->arena),
					value};
	return 0;
}

static void advance(struct make *m);

static void note_made(struct make *m, uint64_t at, const char *uuid)
{
	m->made.items[m->made.n++] = (struct made){at, arena_strdup(&m->arena, uuid)};
}

static void on_done(void *ctx, const struct process_result *result)
{
	struct make *m = ctx;
	struct steps_heard heard;
	struct err err;
	uint64_t at = m->steps.items[0].at;

	steps_hear(&m->steps, result->out, result->length, &m->arena, &heard);
	m->process = result->stuck ? m->process : NULL;
	if (heard.done < m->steps.n || result->status) {
		err_set(&err, "%s",
			heard.why ? heard.why
				  : "the vGPU was not made in time; ask again, or look at the "
				    "kernel's log");
		refuse(m, err.text);
		if (!result->stuck) {
			make_free(m);
		}
		return;
	}
	if (obey_record(m->v->s.obey, &(struct journal_record){.slot = &m->after}, false, &err) <
	    0) {
		log_warn("the journal takes no record", log_str("reason", err.text));
	}
	note_made(m, at, m->after.uuid);
	advance(m);
}

static void on_ended(void *ctx)
{
	make_free(ctx);
}

static void slot_copy(const struct journal_slot *s, struct arena *a, struct journal_slot *ret)
{
	*ret = *s;
	ret->place = arena_strdup(a, s->place);
	ret->card = arena_strdup(a, s->card);
	ret->vf = arena_strdup(a, s->vf);
	ret->type = arena_strdup(a, s->type);
	ret->uuid = arena_strdup(a, s->uuid);
	ret->boot = arena_strdup(a, s->boot);
}

static int start(struct make *m, const struct vgpu_plan *p, struct err *err)
{
	struct demand *v = m->v;
	int64_t left = m->deadline - STUCK_MS - demand_now(v);

	if (left < LEAST_MS) {
		return err_set(err, "no time is left to make the vGPU; ask again");
	}
	if (obey_record(v->s.obey, &(struct journal_record){.slot = &p->before}, true, err) < 0) {
		return -1;
	}
	steps_copy(&p->steps, &m->arena, &m->steps);
	slot_copy(&p->after, &m->arena, &m->after);
	m->job = (struct write_job){v->s.sys, -1, getpid(), &m->steps, NULL};
	m->process = process_start(v->s.loop,
				   &(struct process_spec){
					   .name = "vgpu",
					   .run = write_run,
					   .keep = &v->s.sys,
					   .n_keep = 1,
					   .timeout_ms = left,
					   .max_out = m->steps.n * STEPS_LINE_MAX + 1,
					   .done = on_done,
					   .ended = on_ended,
					   .ctx = m,
				   },
				   err);
	return m->process ? 0 : -1;
}

/* The type that the unit offers as the resource that was asked for, NULL: none. */
static const char *type_of(const struct vgpu_seen *seen, const struct vgpu_id *id,
			   const char *resource, struct arena *a)
{
	const char **types;
	size_t n;

	vgpu_types(seen, a, &types, &n);
	list_each(u, seen->units) {
		for (size_t i = 0; i < n && u->card->address == id->card; i++) {
			if (str_eq(demand_resource(u, types[i], a), resource)) {
				return types[i];
			}
		}
	}
	return NULL;
}

/* One: it is there already, or a child makes it. 1: wait for that. -1: it is refused. */
static int make_one(struct make *m, const char *text, struct err *err)
{
	attr_cleanup(arena_finish) struct arena a;
	struct vgpu_seen seen;
	struct vgpu_plan plan;
	struct vgpu_id id;
	const char *type;

	arena_init(&a, DEMAND_TURN_BYTES);
	if (!demand_see(m->v, &a, &seen) || vgpu_id_parse(text, &id) < 0) {
		return err_set(err, "%s: nothing is known of this node's devices now", text);
	}
	type = type_of(&seen, &id, m->resource, &a);
	if (!type) {
		return err_set(err, "%s: its card does not offer %s now; ask again", text,
			       m->resource);
	}
	vgpu_make(&seen, id, type, &a, &plan);
	if (plan.why) {
		return err_set(err, "%s", plan.why);
	}
	if (plan.steps.n) {
		return start(m, &plan, err) < 0 ? -1 : 1;
	}
	note_made(m, plan.at, plan.uuid);
	return 0;
}

/* On to the next device that is not there yet, or to the answer. Frees m at its end. */
static void advance(struct make *m)
{
	struct err err;
	int rc = 0;

	while (m->container < m->asks.n && rc == 0) {
		const struct dpapi_ids *ids = &m->asks.items[m->container];

		if (m->made.n < ids->n) {
			rc = make_one(m, ids->items[m->made.n], &err);
			continue;
		}
		rc = ids->n ? grant(m, &err) : 0;
		m->container++;
		m->made.n = 0;
	}
	if (rc == 1) {
		return;
	}
	if (rc < 0) {
		refuse(m, err.text);
	} else {
		reply(m);
	}
	make_free(m);
}

static void copy_asks(struct make *m, const struct dpapi_asks *asks)
{
	size_t most = 0;

	m->asks.n = asks->n;
	m->asks.items = arena_array(&m->arena, struct dpapi_ids, asks->n);
	for (size_t i = 0; i < asks->n; i++) {
		struct dpapi_ids *to = &m->asks.items[i];

		most = MAX(most, asks->items[i].n);
		to->n = asks->items[i].n;
		to->items = arena_array(&m->arena, const char *, to->n);
		for (size_t k = 0; k < to->n; k++) {
			to->items[k] = arena_strdup(&m->arena, asks->items[i].items[k]);
		}
	}
	m->made.items = arena_array(&m->arena, struct made, most);
	m->grants = arena_array(&m->arena, struct dpapi_grant, asks->n);
}

void demand_answer(struct demand *v, const struct uses_work *w)
{
	struct make *m = xcalloc(1, sizeof(*m));

	m->v = v;
	m->call = w->call;
	m->deadline = w->deadline;
	arena_init(&m->arena, DEMAND_TURN_BYTES);
	m->resource = arena_strdup(&m->arena, w->resource);
	copy_asks(m, w->asks);
	link_init(&m->link);
	link_append(&v->makes, &m->link);
	advance(m);
}

void demand_call_gone(struct demand *v, struct grpc_call *call)
{
	link_each(l, &v->makes)
	{
		struct make *m = container_of(l, struct make, link);

		if (m->call == call) {
			m->call = NULL;
		}
	}
}

void demand_makes_end(struct demand *v)
{
	link_each(l, &v->makes)
	{
		struct make *m = container_of(l, struct make, link);

		if (m->process) {
			process_kill(m->process);
		}
		make_free(m);
	}
}
