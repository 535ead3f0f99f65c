/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_test.h: kubeconfigs in a directory of the test's own. Included by tests only.
 *
 * Every test has a directory of its own, $D. Texts written and compared go through expand(): $D is
 * the directory, $CA, $CERT, $KEY the base64 of a test CA, a client certificate and its key; $OTHER
 * another key.
 */
#pragma once

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/base64.h"
#include "base/test.h"
#include "kube/config_source.h"
#include "kube/pki_test.h"

static char dir[32];
static struct pki ca, client, other;
static struct err err;
static struct config c;

attr_unused static int remove_one(const char *path, const struct stat *st attr_unused,
				  int kind attr_unused, struct FTW *ftw attr_unused)
{
	return remove(path);
}

attr_unused static void cleanup(void)
{
	config_finish(&c);
	if (*dir) {
		nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	}
	*dir = '\0';
}

attr_unused static void begin(void)
{
	if (!ca.cert) {
		ca = pki_make("test CA", NULL, NULL, 86400);
		client = pki_make("client", &ca, NULL, 86400);
		other = pki_make("other", &ca, NULL, 86400);
		atexit(cleanup);
	}
	cleanup();
	snprintf(dir, sizeof(dir), "/tmp/config_test.XXXXXX");
	ok(mkdtemp(dir));
	err_set(&err, "no error");
}

attr_unused static char *expand(const char *text)
{
	const char *const names[] = {"$D", "$CERT", "$CA", "$KEY", "$OTHER"};
	auto_free char *cert64 = base64_encode(client.cert), *ca64 = base64_encode(ca.cert);
	auto_free char *key64 = base64_encode(client.key), *other64 = base64_encode(other.key);
	const char *const values[] = {dir, cert64, ca64, key64, other64};
	char *out = xstrdup(text);

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		for (char *at; (at = strstr(out, names[i]));) {
			char *next = xprintf("%.*s%s%s", (int)(at - out), out, values[i],
					     at + strlen(names[i]));

			free(out);
			out = next;
		}
	}
	return out;
}

attr_unused static void put(const char *name, const char *text)
{
	auto_free char *path = xprintf("%s/%s", dir, name), *content = expand(text);
	FILE *f = fopen(path, "we");

	ok(f);
	fputs(content, f);
	fclose(f);
}

attr_unused static void make_dir(const char *name)
{
	auto_free char *path = xprintf("%s/%s", dir, name);

	is_int(mkdir(path, 0700), 0);
}

attr_unused static void drop(const char *name)
{
	auto_free char *path = xprintf("%s/%s", dir, name);

	is_int(unlink(path), 0);
}

attr_unused static void put_pem(const char *name, const char *pem)
{
	auto_free char *path = xprintf("%s/%s.new", dir, name), *to = xprintf("%s/%s", dir, name);
	FILE *f = fopen(path, "we");

	ok(f);
	fputs(pem, f);
	fclose(f);
	is_int(rename(path, to), 0);
}

attr_unused static int load(const char *kubeconfig)
{
	auto_free char *list = expand(kubeconfig);
	struct config_env env = {.kubeconfig = list};

	return config_load(&env, &c, &err);
}

#define CONTEXT "contexts: [{name: x, context: {cluster: k, user: u}}]\ncurrent-context: x\n"
#define CLUSTER "clusters: [{name: k, cluster: {server: \"https://h:6443\"}}]\n"
#define USER "users: [{name: u, user: {token: secret-token}}]\n"

/* The sentence of the last error, with the directory written as $D. */
attr_unused static const char *sentence(void)
{
	static char text[ERR_MAX];
	char *out = text;

	for (const char *p = err.text; *p && out < text + sizeof(text) - 3;) {
		if (strncmp(p, dir, strlen(dir)) == 0) {
			*out++ = '$', *out++ = 'D';
			p += strlen(dir);
		} else {
			*out++ = *p++;
		}
	}
	*out = '\0';
	return text;
}
