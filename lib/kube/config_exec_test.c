/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exec plugins of a kubeconfig: what they are told, and what is taken of their answers.
 */
#include "kube/config.h"

#include "kube/config_test.h"

#define EXEC(version, more)                                                                         \
	CLUSTER CONTEXT                                                                             \
		"users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/" version \
		", command: plug, args: [get, token]" more "}}}]\n"
#define ANSWER(status)                                                                                        \
	"{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":{" status \
	"}}"

static int result(const char *json)
{
	return config_exec_result(&c, json, strlen(json), 1000000, &err);
}

static void exec_plugin_is_described(void)
{
	char *const *env;
	bool inherited = false;

	begin();
	setenv("CONFIG_TEST", "inherited", 1);
	put("c",
	    EXEC("v1",
		 ", interactiveMode: IfAvailable, installHint: get it, env: [{name: PROFILE, value: dev}, {name: HOME, value: /h}]"));
	is_int(load("$D/c"), 0);
	ok(config_exec_wanted(&c, 0));
	is_str(config_exec_argv(&c)[0], "plug");
	is_str(config_exec_argv(&c)[1], "get");
	is_str(config_exec_argv(&c)[2], "token");
	ok(!config_exec_argv(&c)[3]);
	is_str(config_exec_hint(&c), "get it");
	ok(!config_exec_stdin(&c));
	env = config_exec_environ(&c);
	is_str(env[0],
	       "KUBERNETES_EXEC_INFO={\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"spec\":{\"interactive\":false}}");
	is_str(env[1], "PROFILE=dev");
	is_str(env[2], "HOME=/h");
	for (size_t i = 3; env[i]; i++) {
		inherited |= str_eq(env[i], "CONFIG_TEST=inherited");
		ok(!str_starts(env[i], "HOME="));
	}
	ok(inherited);
}

static void exec_plugin_may_ask_on_a_terminal(void)
{
	auto_free char *path = NULL;
	struct config_env env = {.terminal = true};

	begin();
	path = xprintf("%s/c", dir);
	env.kubeconfig = path;
	put("c", EXEC("v1beta1", ""));
	is_int(config_load(&env, &c, &err), 0);
	ok(config_exec_stdin(&c));
	has(config_exec_environ(&c)[0], "\"interactive\":true");
	config_finish(&c);
	put("c", EXEC("v1", ", interactiveMode: Never"));
	is_int(config_load(&env, &c, &err), 0);
	ok(!config_exec_stdin(&c));
}

static void exec_plugin_that_must_ask_needs_a_terminal(void)
{
	auto_free char *path = NULL;
	struct config_env env = {.terminal = true};

	begin();
	path = xprintf("%s/c", dir);
	env.kubeconfig = path;
	put("c", EXEC("v1", ", interactiveMode: Always"));
	is_int(config_load(&env, &c, &err), 0);
	ok(config_exec_stdin(&c));
	ok(!config_exec_blind(&c));
	config_finish(&c);
	is_int(load("$D/c"), 0);
	ok(config_exec_blind(&c));
	config_finish(&c);
	put("c", EXEC("v1", ", interactiveMode: IfAvailable"));
	is_int(load("$D/c"), 0);
	ok(!config_exec_blind(&c));
}

static void exec_plugin_gets_the_cluster(void)
{
	auto_free char *want = NULL;

	begin();
	put("c",
	    "clusters: [{name: k, cluster: {server: \"https://h\", certificate-authority-data: $CA, tls-server-name: n, extensions: ["
	    "{name: client.authentication.k8s.io/exec, extension: {audience: \"a\\\"b\", n: 1, f: 1.5, t: true, z: null, s: \"1\", l: [x, {}]}}]}}]\n" CONTEXT
	    "users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: ./bin/plug, provideClusterInfo: true}}}]\n");
	is_int(load("$D/c"), 0);
	want = expand("$D/./bin/plug");
	is_str(config_exec_argv(&c)[0], want);
	free(want);
	want = expand(
		"KUBERNETES_EXEC_INFO={\"apiVersion\":\"client.authentication.k8s.io/v1beta1\",\"kind\":\"ExecCredential\",\"spec\":{\"cluster\":"
		"{\"server\":\"https://h\",\"tls-server-name\":\"n\",\"certificate-authority-data\":\"$CA\",\"config\":"
		"{\"audience\":\"a\\\"b\",\"n\":1,\"f\":1.5,\"t\":true,\"z\":null,\"s\":\"1\",\"l\":[\"x\",{}]}},\"interactive\":false}}");
	is_str(config_exec_environ(&c)[0], want);
}

static void extension_that_holds_itself_is_refused(void)
{
	begin();
	put("c",
	    "clusters: [{name: k, cluster: {server: \"https://h\", extensions: [{name: client.authentication.k8s.io/exec, extension: &a {x: *a}}]}}]\n" CONTEXT
	    "users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: p, provideClusterInfo: true}}}]\n");
	is_int(load("$D/c"), -1);
	has(sentence(), "$D/c:1:");
}

static void exec_plugins_credential_is_used_until_it_expires(void)
{
	begin();
	put("c", EXEC("v1", ", interactiveMode: Never"));
	is_int(load("$D/c"), 0);
	is_int(result(ANSWER("\"token\":\"one\",\"expirationTimestamp\":\"1970-01-01T01:00:00Z\"")),
	       0);
	is_str(c.token, "one");
	is_int(c.generation, 2);
	ok(!config_exec_wanted(&c, 3599999));
	ok(config_exec_wanted(&c, 3600000));
	is_int(config_refresh(&c, &err), 0); /* the kubeconfig is the same: the token stays */
	is_str(c.token, "one");
	ok(!config_exec_wanted(&c, 3599999));
	config_exec_expire(&c);
	ok(config_exec_wanted(&c, 0));
	is_int(result(ANSWER("\"token\":\"two\"")), 0);
	is_str(c.token, "two");
	ok(!config_exec_wanted(&c, INT64_MAX - 1));
	is_int(result(ANSWER("\"token\":\"two\"")), 0);
	is_int(c.generation, 3); /* nothing changed by the last one */
}

static void exec_plugin_may_give_a_certificate(void)
{
	auto_free char *json = NULL;
	json_t *root;

	begin();
	put("c", EXEC("v1", ", interactiveMode: Never"));
	is_int(load("$D/c"), 0);
	root = json_pack("{s:s,s:s,s:{s:s,s:s}}", "apiVersion", "client.authentication.k8s.io/v1",
			 "kind", "ExecCredential", "status", "clientCertificateData", client.cert,
			 "clientKeyData", client.key);
	json = json_dumps(root, 0);
	json_decref(root);
	is_int(result(json), 0);
	is_str(c.cert, client.cert);
	is_str(c.key, client.key);
	is_int(config_refresh(&c, &err), 0);
	is_str(c.cert, client.cert);
	put("c",
	    EXEC("v1",
		 ", interactiveMode: IfAvailable, env: [{name: A, value: b}]")); /* another plugin:
										    start over */
	is_int(config_refresh(&c, &err), 1);
	ok(!c.cert && config_exec_wanted(&c, 0));
}

static void bad_answers_of_an_exec_plugin_change_nothing(void)
{
	static const struct {
		const char *json, *part;
	} rows[] = {
		{"", "plug: printed no JSON"},
		{"please log in", "printed no JSON"},
		{"[]", "no ExecCredential"},
		{"{\"kind\":\"ExecCredential\",\"kind\":\"ExecCredential\"}", "printed no JSON"},
		{"{\"kind\":\"Status\"}", "no ExecCredential"},
		{"{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1beta1\",\"status\":{\"token\":\"s3cret\"}}",
		 "in another apiVersion than client.authentication.k8s.io/v1"},
		{"{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\"}",
		 "no status"},
		{ANSWER(""), "neither a token nor a client certificate"},
		{ANSWER("\"token\":\"\""), "neither a token nor a client certificate"},
		{ANSWER("\"token\":7"), "no status with strings"},
		{ANSWER("\"token\":\"s3 cret\""), "is no token"},
		{ANSWER("\"token\":\"s3cret\\r\\nX: y\""), "is no token"},
		{ANSWER("\"clientCertificateData\":\"x\""), "without the other"},
		{ANSWER("\"clientCertificateData\":\"x\",\"clientKeyData\":\"s3cret\""),
		 "no whole certificate"},
		{ANSWER("\"token\":\"s3cret\",\"expirationTimestamp\":\"tomorrow\""),
		 "no RFC 3339 time"},
		{ANSWER("\"token\":\"s3cret\",\"expirationTimestamp\":\"1970-01-01T00:16:40Z\""),
		 "expired already"},
	};

	begin();
	put("c", EXEC("v1", ", interactiveMode: Never"));
	is_int(load("$D/c"), 0);
	is_int(result(ANSWER("\"token\":\"good\"")), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		is_int(result(rows[i].json), -1);
		has(err.text, rows[i].part);
		has(err.text, "exec plugin plug");
		ok(!strstr(err.text, "cret\""));
		is_str(c.token, "good");
	}
	is_int(c.generation, 2);
}

TESTS({"an exec plugin is described", exec_plugin_is_described},
      {"an exec plugin may ask on a terminal", exec_plugin_may_ask_on_a_terminal},
      {"an exec plugin that must ask needs a terminal", exec_plugin_that_must_ask_needs_a_terminal},
      {"an exec plugin gets the cluster when it asks", exec_plugin_gets_the_cluster},
      {"an extension that holds itself is refused", extension_that_holds_itself_is_refused},
      {"an exec plugin's credential is used until it expires",
       exec_plugins_credential_is_used_until_it_expires},
      {"an exec plugin may give a certificate", exec_plugin_may_give_a_certificate},
      {"bad answers of an exec plugin change nothing",
       bad_answers_of_an_exec_plugin_change_nothing})
