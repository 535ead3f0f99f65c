/* SPDX-License-Identifier: Apache-2.0 */
/*
 * program.h: what the main functions of our programs share: flags for the connection and the log,
 * loop, configuration, client, signals. RIM.
 *
 * A program's main puts program_flags beside its own table, calls program_open, builds what it is,
 * runs the loop and calls program_close. Errors before the loop runs are one line on stderr and
 * exit code 2 (PROGRAM_USAGE), because somebody wrote something wrong.
 */
#pragma once

#include "base/flag.h"
#include "kube/http.h"

#define PROGRAM_USAGE 2

struct program_options {
	const char *kubeconfig, *context;
	int log_level;
	bool version;
	struct metrics
		*metrics; /* no flag: of monitor.h, for the client's rest_client_*; or NULL */
};
extern const struct flag program_flags[]; /* out: struct program_options */

struct program {
	const char *name; /* "vmgpu-controller" */
	struct loop *loop;
	struct config config;
	struct http *http;
	char identity[128]; /* host name and a random part: unique per process */
};

/* Parses argv; 0: go on, >0: end with that code minus 1 (help or version were printed), <0: usage
 * was printed. */
int program_parse(const struct flag_text *text, const struct flag_group *groups,
		  const struct program_options *o, int argc, char **argv, int *ret_args);
/* Loop, configuration and client. 0, or -1 after one line on stderr. */
int program_open(struct program *p, const char *name, const struct program_options *o);
/* The same in two, for who has work that cannot wait for a client: log and loop; then, once,
 * configuration and client. 0, or -1 with err. */
void program_begin(struct program *p, const char *name, const struct program_options *o);
int program_connect(struct program *p, const struct program_options *o, struct err *err);
void program_close(struct program *p); /* after program_begin or program_open */
double program_random(void *unused);   /* [0,1) from the kernel */

#ifndef VMGPU_VERSION
#define VMGPU_VERSION "0.1.0-dev"
#endif
