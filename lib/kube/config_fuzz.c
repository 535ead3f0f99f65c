/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_fuzz.c: bytes as a kubeconfig, and as what an exec plugin printed (first byte: which). Any
 * bytes: no crash, no leak, and a failure has a sentence.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kube/config_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char plugin_config[] =
	"clusters: [{name: k, cluster: {server: \"https://h\"}}]\ncontexts: [{name: x, context: {cluster: k, user: u}}]\ncurrent-context: x\n"
	"users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: p, interactiveMode: Never}}}]\n";

static int load(const void *bytes, size_t n, struct config *ret, struct err *err)
{
	auto_close int fd = memfd_create("kubeconfig", MFD_CLOEXEC);
	auto_free char *path = xprintf("/proc/self/fd/%d", fd);
	struct config_env env = {.kubeconfig = path};

	if (fd < 0 || write(fd, bytes, n) != (ssize_t)n) {
		abort();
	}
	return config_load(&env, ret, err);
}

static void check(bool failed, const struct err *err)
{
	if (failed && (!*err->text || strchr(err->text, '\n'))) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = {""};
	struct config c = {0};
	int r;

	if (!size) {
		return 0;
	}
	if (*data & 1) {
		r = load(data + 1, size - 1, &c, &err);
		check(r < 0, &err);
		if (r == 0) {
			(void)config_exec_environ(&c);
			config_refresh(&c, &err);
		}
	} else if (load(plugin_config, sizeof(plugin_config) - 1, &c, &err) < 0) {
		abort();
	} else {
		r = config_exec_result(&c, (const char *)data + 1, size - 1, 0, &err);
		check(r < 0, &err);
	}
	config_finish(&c);
	return 0;
}
