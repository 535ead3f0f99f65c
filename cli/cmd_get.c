/* SPDX-License-Identifier: Apache-2.0 */
/* get gpus: every GPU of the fleet, a line each; what kubectl's columns cannot show of lists. */
#include <stdio.h>

#include "api/vmgpu.h"
#include "base/buf.h"
#include "cli/command.h"
#include "json/scan.h"
#include "kube/program.h"

struct getter {
	struct program *program;
	struct scan *scan;
	struct err err;
	int rc;
	bool header;
};

static const struct flag_text text = {
	.program = "kubectl vmgpu get",
	.args = "gpus",
	.about =
		"Lists every GPU that the nodes report: its name for manifests, where it is, its driver, and whether a VM can have it. GPUs of one\n"
		"IOMMU group go to one VM together: they share a line, which has the addresses of all.",
	.examples = "  kubectl vmgpu get gpus",
};

#define ROW "%-20s %-14s %-36s %-20s %-10s %-10s %s\n"

static const char *or_dash(const char *s)
{
	return str_empty(s) ? "-" : s;
}

/* --- what is read: more of a unit than the controller keeps ------------------------------------ */

struct function {
	const char *address, *role;
};

struct unit {
	const char *address, *name, *model, *driver;
	LIST(struct function) functions;
	struct condition_list conditions;
};

struct node {
	struct obj obj;
	LIST(struct unit) units;
};

#define T struct function
static const struct field function_fields[] = {
	FIELD(T, address, "address", TYPE_STR),
	FIELD(T, role, "role", TYPE_STR),
	{0},
};
static const struct type function_type = {sizeof(T), function_fields, NULL};
#undef T

#define T struct unit
static const struct field unit_fields[] = {
	FIELD(T, address, "address", TYPE_STR),
	FIELD(T, name, "name", TYPE_STR),
	FIELD(T, model, "model", TYPE_STR),
	FIELD(T, driver, "driver", TYPE_STR),
	FIELD(T, functions, "functions", TYPE_OBJS, .sub = &function_type),
	FIELD(T, conditions, "conditions", TYPE_OBJS, .sub = &condition_type),
	{0},
};
static const struct type unit_type = {sizeof(T), unit_fields, NULL};
#undef T

#define T struct node
static const struct field status_fields[] = {
	FIELD(T, units, "units", TYPE_OBJS, .sub = &unit_type),
	{0},
};
static const struct type status_type = {sizeof(T), status_fields, NULL};
static const struct field node_fields[] = {
	OBJ_METADATA,
	FIELD_INLINE("status", &status_type),
	{0},
};
static const struct type node_type = {sizeof(T), node_fields, obj_finish};
#undef T

/* --- what is printed --------------------------------------------------------------------------- */

/* "0000:41:00.0,0000:42:00.0": the unit's own address, and the other GPUs that go with it. */
static void addresses(const struct unit *u, struct buf *b)
{
	buf_printf(b, "%s", or_dash(u->address));
	list_each(f, &u->functions) {
		if (str_eq(f->role, "gpu") && f->address && !str_eq(f->address, u->address)) {
			buf_printf(b, ",%s", f->address);
		}
	}
}

static void print_node(void *ctx, const struct scan_event *event)
{
	struct getter *g = ctx;
	const struct node *n = event->object;

	list_each(u, &n->units) {
		const struct condition *c = condition_find(&u->conditions, "Available");
		attr_cleanup(buf_finish) struct buf at = {.max = 4 * KiB};

		addresses(u, &at);
		if (!g->header) {
			printf(ROW, "NODE", "ADDRESS", "NAME", "MODEL", "DRIVER", "AVAILABLE",
			       "REASON");
			g->header = true;
		}
		printf(ROW, n->obj.name, buf_text(&at), or_dash(u->name), or_dash(u->model),
		       or_dash(u->driver), c ? c->status : "Unknown", c ? or_dash(c->reason) : "-");
	}
}

static int on_bytes(void *ctx, const char *bytes, size_t n)
{
	struct getter *g = ctx;

	return scan_feed(g->scan, bytes, n, &g->err);
}

static void on_done(void *ctx, const struct http_answer *answer)
{
	struct getter *g = ctx;
	const struct scan_status *s = scan_status(g->scan);
	bool whole = answer->status == 200 && !answer->error;

	g->rc = whole && scan_end(g->scan, &g->err) == 0 ? 0 : 1;
	if (whole && g->rc) {
		err_wrap(&g->err, "the server's answer is cut short, ask again");
	} else if (answer->status == 404) {
		err_set(&g->err, "the server knows no GPUNodes: is vmgpu installed there?");
	} else if (answer->error) {
		err_set(&g->err, "%s", answer->error);
	} else if (g->rc) {
		err_set(&g->err, "%s", s->message ? s->message : "the server refused");
	}
	loop_stop(g->program->loop);
}

static int list(struct program *p)
{
	struct getter g = {.program = p};
	attr_cleanup(buf_finish) struct buf path = {.max = KiB};

	g.scan = scan_create(&node_type, SCAN_LIST, print_node, &g);
	kind_path(&kind_gpu_node, kind_gpu_node.versions, NULL, NULL, NULL, &path);
	http_start(p->http, &(struct http_call){
				    .method = "GET",
				    .path = buf_text(&path),
				    .timeout_ms = 30000,
				    .bytes = on_bytes,
				    .done = on_done,
				    .ctx = &g,
			    });
	loop_run(p->loop);
	if (g.rc) {
		fprintf(stderr, "kubectl vmgpu get: %s\n", g.err.text);
	} else if (!g.header) {
		fprintf(stderr, "no node reports a GPU\n");
	}
	scan_destroy(g.scan);
	return g.rc;
}

static int run(int argc, char **argv)
{
	struct program_options common = {0};
	const struct flag_group groups[] = {{"Flags", program_flags, &common}, {0}};
	struct program program;
	struct err err = {""};
	int args = 0, r = command_parse(&text, groups, argc, argv, &args);

	if (r >= 0) {
		return r;
	}
	if (args != 1 || !str_eq(argv[1], "gpus")) {
		err_set(&err, "say what: kubectl vmgpu get gpus");
		return command_fail("get", &err);
	}
	if (program_open(&program, "kubectl-vmgpu", &common) < 0) {
		return FLAG_EXIT;
	}
	r = list(&program);
	program_close(&program);
	return r;
}

const struct command command_get = {"get", "list the GPUs of the fleet", run};
