/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/program.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/log.h"
#include "base/slab.h"

const struct flag program_flags[] = {
	{"kubeconfig", 0, FLAG_STRING, offsetof(struct program_options, kubeconfig), .arg = "FILE",
	 .help = "path to a kubeconfig (default: $KUBECONFIG, the service account of the pod, or ~/.kube/config)"},
	{"context", 0, FLAG_STRING, offsetof(struct program_options, context), .arg = "NAME",
	 .help = "context of the kubeconfig to use"},
	{"log-level", 0, FLAG_CHOICE, offsetof(struct program_options, log_level), .value = "info",
	 .choices = LOG_LEVELS, .help = "least severe level that is logged"},
	{"version", 0, FLAG_BOOL, offsetof(struct program_options, version),
	 .help = "print the version and exit"},
	{0},
};

int program_parse(const struct flag_text *text, const struct flag_group *groups,
		  const struct program_options *o, int argc, char **argv, int *ret_args)
{
	attr_cleanup(buf_finish) struct buf help = {.max = MiB};
	struct err err = {""};
	int r;

	json_set_alloc_funcs(slab_alloc, slab_free); /* each program begins here */
	r = flag_parse(text, groups, argc - 1, argv + 1, ret_args, &err);

	if (r < 0) {
		fprintf(stderr, "%s: %s\n", text->program, err.text);
		return -1;
	}
	if (r > 0) {
		flag_help(text, groups, &help);
		fputs(buf_text(&help), stdout);
		return 1;
	}
	if (o->version) {
		printf("%s %s\n", text->program, VMGPU_VERSION);
		return 1;
	}
	return 0;
}

double program_random(void *unused)
{
	uint64_t v = 0;

	(void)unused;
	if (getrandom(&v, sizeof(v), 0) != sizeof(v)) {
		return 0.5;
	}
	return (double)(v >> 11) / 9007199254740992.0; /* 2^53 */
}

static void notice(void *ctx, bool bad, const char *sentence)
{
	(void)ctx;
	if (bad) {
		log_warn(sentence);
	} else {
		log_info(sentence);
	}
}

static void name_identity(struct program *p)
{
	char host[64] = "unknown";

	gethostname(host, sizeof(host) - 1);
	snprintf(p->identity, sizeof(p->identity), "%s_%08x", host,
		 (unsigned)(program_random(NULL) * 4294967295.0));
}

void program_begin(struct program *p, const char *name, const struct program_options *o)
{
	*p = (struct program){.name = name};
	log_setup((enum log_level)o->log_level, STDERR_FILENO, NULL);
	name_identity(p);
	p->loop = loop_create();
}

int program_connect(struct program *p, const struct program_options *o, struct err *err)
{
	const struct config_env env = {
		.kubeconfig = o->kubeconfig ? o->kubeconfig : getenv("KUBECONFIG"),
		.home = getenv("HOME"),
		.context = o->context,
		.service_host = getenv("KUBERNETES_SERVICE_HOST"),
		.service_port = getenv("KUBERNETES_SERVICE_PORT"),
		.secrets_dir = "/var/run/secrets/kubernetes.io/serviceaccount",
		.terminal = isatty(STDIN_FILENO) == 1,
	};
	auto_free char *agent =
		xprintf("%s/%s (linux/amd64) %s", p->name, VMGPU_VERSION, p->identity);

	if (config_load(&env, &p->config, err) < 0) {
		return -1;
	}
	p->http = http_create(p->loop, &p->config,
			      &(struct http_settings){.user_agent = agent,
						      .max_inflight = 64,
						      .notice = notice,
						      .metrics = o->metrics},
			      err);
	return p->http ? 0 : -1;
}

int program_open(struct program *p, const char *name, const struct program_options *o)
{
	struct err err;

	program_begin(p, name, o);
	if (program_connect(p, o, &err) < 0) {
		fprintf(stderr, "%s: %s\n", name, err.text);
		program_close(p);
		return -1;
	}
	return 0;
}

void program_close(struct program *p)
{
	p->http = http_destroy(p->http);
	p->loop = loop_destroy(p->loop);
	config_finish(&p->config);
}
