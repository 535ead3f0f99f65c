/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/options.h"

#include "base/test.h"

static struct options parsed(int argc, const char **argv)
{
	static const struct flag_text text = {.program = "test"};
	struct options_typed typed = {0};
	const struct flag_group groups[] = {{"Flags", options_flags, &typed}, {0}};
	struct err err = {""};
	int args = 0;

	is_int(flag_parse(&text, groups, argc, (char **)argv, &args, &err), 0);
	is_str(err.text, "");
	return options_of(&typed);
}

static void defaults(void)
{
	const char *argv[] = {NULL};
	struct options o = parsed(0, argv);

	is_int(o.permit, OPTIONS_PERMIT_AUTO);
	ok(!o.plain_naming && !o.cozy_proxy && !o.no_node_ports);
	is_str(o.images_ns, "cozy-public");
	ok(!o.worker_image && !o.gpu_operator_chart);
}

static void each_flag(void)
{
	const char *argv[] = {
		"--naming=plain",	    "--permit=report",
		"--images-namespace=i",	    "--cozy-proxy",
		"--worker-image=w",	    "--load-balancer-node-ports=false",
		"--gpu-operator-chart=n/c",
	};
	struct options o = parsed(ARRAY_LEN(argv), argv);

	is_int(o.permit, OPTIONS_PERMIT_REPORT);
	ok(o.plain_naming && o.cozy_proxy && o.no_node_ports);
	is_str(o.images_ns, "i");
	is_str(o.worker_image, "w");
	is_str(o.gpu_operator_chart, "n/c");
}

TESTS({"without flags, options are the documented ones", defaults},
      {"each flag sets its option", each_flag})
