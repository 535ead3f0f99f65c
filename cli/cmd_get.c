/* SPDX-License-Identifier: Apache-2.0 */
/* get gpus: every GPU of the fleet, a line each; what kubectl's columns cannot show of lists. */
#include <stdio.h>

#include "api/vmgpu.h"
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
		"Lists every GPU that the nodes report: its name for manifests, where it is, its driver, and whether a VM can have it.",
	.examples = "  kubectl vmgpu get gpus\n",
};

#define ROW "%-20s %-14s %-36s %-20s %-10s %-10s %s\n"

static const char *or_dash(const char *s)
{
	return str_empty(s) ? "-" : s;
}

static void print_node(void *ctx, const struct scan_event *event)
{
	struct getter *g = ctx;
	const struct gpu_node *n = event->object;

	list_each(u, &n->units) {
		const struct condition *c = condition_find(&u->conditions, "Available");

		if (!g->header) {
			printf(ROW, "NODE", "ADDRESS", "NAME", "MODEL", "DRIVER", "AVAILABLE",
			       "REASON");
			g->header = true;
		}
		printf(ROW, n->obj.name, or_dash(u->address), or_dash(u->name), or_dash(u->model),
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

	g.scan = scan_create(kind_gpu_node.type, SCAN_LIST, print_node, &g);
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
