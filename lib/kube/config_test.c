/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/config.h"

#include "kube/config_test.h"

static void whole_kubeconfig_is_read(void)
{
	begin();
	make_dir("sub");
	put("sub/ca.pem", "");
	put("sub/token", " from-file\n");
	put("sub/config",
	    "apiVersion: v1\nkind: Config\ncurrent-context: x\npreferences: {}\n"
	    "contexts:\n- {name: other, context: {cluster: none}}\n- name: x\n  context: {cluster: k, user: u, namespace: vms}\n"
	    "clusters:\n- name: k\n  cluster:\n    server: https://[fd00::1]:6443/prefix//\n    certificate-authority-data: $CA\n"
	    "    tls-server-name: kubernetes\n    proxy-url: http://proxy:3128\n"
	    "users:\n- name: u\n  user:\n    tokenFile: token\n    client-certificate-data: $CERT\n    client-key-data: $KEY\n"
	    "    as: jane\n    as-uid: '7'\n    as-groups: [devs, \"ops team\"]\n    as-user-extra: {\"acme.com/Team\": [a, b]}\n");
	is_int(load("$D/sub/config"), 0);
	is_str(c.server, "https://[fd00::1]:6443/prefix");
	is_str(c.server_name, "kubernetes");
	is_str(c.proxy, "http://proxy:3128");
	is_str(c.ns, "vms");
	is_str(c.ca, ca.cert);
	is_str(c.cert, client.cert);
	is_str(c.key, client.key);
	is_str(c.token, "from-file");
	ok(!c.insecure && !c.user);
	is_str(c.as_headers[0], "Impersonate-User: jane");
	is_str(c.as_headers[1], "Impersonate-Uid: 7");
	is_str(c.as_headers[2], "Impersonate-Group: devs");
	is_str(c.as_headers[3], "Impersonate-Group: ops team");
	is_str(c.as_headers[4], "Impersonate-Extra-acme.com%2FTeam: a");
	is_str(c.as_headers[5], "Impersonate-Extra-acme.com%2FTeam: b");
	ok(!c.as_headers[6]);
	has(c.ca_from, "/sub/config: cluster \"k\": certificate-authority-data");
	is_int(c.generation, 1);
	ok(!config_exec_wanted(&c, 0));
}

static void json_is_yaml(void)
{
	begin();
	put("c",
	    "{\"apiVersion\":\"v1\",\"clusters\":[{\"name\":\"k\",\"cluster\":{\"server\":\"http://127.0.0.1:8001\",\"insecure-skip-tls-verify\":true}}],"
	    "\"contexts\":[{\"name\":\"x\",\"context\":{\"cluster\":\"k\",\"user\":\"\"}}],\"current-context\":\"x\"}");
	is_int(load("$D/c"), 0);
	is_str(c.server, "http://127.0.0.1:8001");
	ok(c.insecure && !c.token && !c.ns);
	has(c.auth_from, "no credentials");
}

static void first_file_of_a_list_wins_per_entry(void)
{
	begin();
	put("a",
	    "users: [{name: u, user: {token: of-a}}]\ncontexts: [{name: x, context: {cluster: k, user: u}}]\n");
	put("b",
	    "current-context: x\nusers: [{name: u, user: {token: of-b, as: b}}, {name: v, user: {}}]\n");
	put("c",
	    "current-context: y\nclusters: [{name: k, cluster: {server: \"https://c\", certificate-authority: ca.pem}}]\n");
	put("ca.pem", "");
	{
		auto_free char *path = xprintf("%s/ca.pem", dir);
		FILE *f = fopen(path, "we");

		fputs(ca.cert, f);
		fclose(f);
	}
	is_int(load("$D/a:$D/absent::$D/b:$D/c"), 0);
	is_str(c.token, "of-a");
	ok(!c.as_headers); /* entries are not mixed field by field */
	is_str(c.server, "https://c");
	is_str(c.ca, ca.cert);
}

static void context_can_be_chosen(void)
{
	struct config_env env = {.context = "y"};
	auto_free char *path = NULL;

	begin();
	path = xprintf("%s/c", dir);
	env.kubeconfig = path;
	put("c", CLUSTER
	    "users: [{name: u, user: {token: t}}, {name: v, user: {username: joe, password: pw}}]\n"
	    "current-context: x\ncontexts: [{name: x, context: {cluster: k, user: u}}, {name: y, context: {cluster: k, user: v}}]\n");
	is_int(config_load(&env, &c, &err), 0);
	is_str(c.user, "joe");
	is_str(c.password, "pw");
	ok(!c.token);
}

static const struct {
	const char *yaml, *sentence;
} bad_rows[] = {
	{"{",
	 "$D/c:2: is no YAML: did not find expected node content; mend this line or write the kubeconfig anew"},
	{"a: b\n\tc: d\n",
	 "$D/c:2: is no YAML: found a tab character that violates indentation; mend this line or write the kubeconfig anew"},
	{"\xff\xfe",
	 "$D/c: current-context is not set; the file holds no context: is it a kubeconfig?"},
	{"a: \xc3\x28",
	 "$D/c: is no UTF-8 text (invalid trailing UTF-8 octet at byte 4); write the kubeconfig anew"},
	{"- a",
	 "$D/c: is no kubeconfig: its content is not a map with clusters, users and contexts"},
	{"<html>",
	 "$D/c: is no kubeconfig: its content is not a map with clusters, users and contexts"},
	{"kind: Pod", "$D/c:1: kind: is Pod, must be Config: this is no kubeconfig"},
	{"", "$D/c: current-context is not set; the file holds no context: is it a kubeconfig?"},
	{CLUSTER USER "contexts: [{name: x}, {name: y}]",
	 "$D/c: current-context is not set; give --context or run `kubectl config use-context` with one of: x, y"},
	{CLUSTER USER "contexts: [{name: x}, {name: y}]\ncurrent-context: z",
	 "$D/c: there is no context \"z\"; give another with --context; there are: x, y"},
	{CLUSTER "contexts: 7\ncurrent-context: z",
	 "$D/c:2: contexts: is a single value, must be a list"},
	{CLUSTER "contexts: [7]\ncurrent-context: z",
	 "$D/c:2: contexts: must be a list of {name, context}"},
	{CLUSTER "contexts: [{name: [a]}]\ncurrent-context: z",
	 "$D/c:2: name: is a list, must be a string"},
	{CLUSTER "contexts: [{name: x, context: {user: u}}]\ncurrent-context: x",
	 "$D/c:2: context \"x\": cluster: is missing; name one of the clusters"},
	{CLUSTER "contexts: [{name: x, context: {cluster: n}}]\ncurrent-context: x",
	 "$D/c: there is no cluster \"n\"; mend the context or add the cluster; there are: k"},
	{CLUSTER CONTEXT, "$D/c: there is no user \"u\"; mend the context or add the user"},
	{CLUSTER "current-context: x\ncurrent-context: y",
	 "$D/c:1: current-context: appears twice; remove one"},
	{"clusters: [{name: k}, {name: k}]\n" USER CONTEXT,
	 "$D/c:1: clusters: two entries are named \"k\"; remove or rename one"},
	{"clusters: [{name: k, cluster: {}}]\n" USER CONTEXT,
	 "$D/c:1: cluster \"k\": server: is missing; give the API server's URL (https://host:6443)"},
	{"clusters: [{name: k, cluster: {server: h}}]\n" USER CONTEXT,
	 "$D/c:1: cluster \"k\": server: \"h\" is no URL like https://host:6443"},
	{"clusters: [{name: k, cluster: {server: \"ftp://h\"}}]\n" USER CONTEXT,
	 "$D/c:1: cluster \"k\": server: \"ftp://h\" is no URL like https://host:6443"},
	{"clusters: [{name: k, cluster: {server: \"https://u:p@h\"}}]\n" USER CONTEXT,
	 "$D/c:1: cluster \"k\": server: must not hold a user; put credentials into the users section"},
	{"clusters: [{name: k, cluster: {server: \"https://h/?a=b\"}}]\n" USER CONTEXT,
	 "$D/c:1: cluster \"k\": server: must not hold a query or fragment"},
	{"clusters: [{name: k, cluster: {server: \"https://h/#t\"}}]\n" USER CONTEXT,
	 "$D/c:1: cluster \"k\": server: must not hold a query or fragment"},
	{"clusters: [{name: k, cluster: {server: \"ftp://u:p@h/?a=b\"}}]\n" USER CONTEXT,
	 "$D/c:1: cluster \"k\": server: is no URL like https://host:6443"},
	{"clusters: [{name: k, cluster: {server: \"https://h\", proxy-url: \"ftp://u:p@h\"}}]\n" USER
		 CONTEXT,
	 "$D/c:1: cluster \"k\": proxy-url: is no URL with http, https or socks5"},
	{"clusters: [{name: k, cluster: {server: \"https://h\", insecure-skip-tls-verify: maybe}}]\n" USER
		 CONTEXT,
	 "$D/c:1: cluster \"k\": insecure-skip-tls-verify: is \"maybe\", must be true or false"},
	{"clusters: [{name: k, cluster: {server: \"https://h\", insecure-skip-tls-verify: true, certificate-authority-data: $CA}}]\n" USER
		 CONTEXT,
	 "$D/c:1: cluster \"k\": insecure-skip-tls-verify: stands beside a certificate-authority; remove one of the two"},
	{"clusters: [{name: k, cluster: {server: \"https://h\", tls-server-name: \"a b\"}}]\n" USER
		 CONTEXT,
	 "$D/c:1: cluster \"k\": tls-server-name: is \"a b\"; must be a host name"},
	{"clusters: [{name: k, cluster: {server: \"https://h\", proxy-url: \"proxy:3128\"}}]\n" USER
		 CONTEXT,
	 "$D/c:1: cluster \"k\": proxy-url: is no URL with http, https or socks5"},
	{"clusters: [{name: k, cluster: {server: \"https://h\", certificate-authority: absent.pem}}]\n" USER
		 CONTEXT,
	 "$D/c: cluster \"k\": certificate-authority; give an existing file or embed it: $D/absent.pem does not exist"},
	{"clusters: [{name: k, cluster: {server: \"https://h\", certificate-authority: /}}]\n" USER
		 CONTEXT,
	 "$D/c: cluster \"k\": certificate-authority; give an existing file or embed it: / is a directory, not a file"},
	{"clusters: [{name: k, cluster: {server: \"https://h\", certificate-authority: /dev/null}}]\n" USER
		 CONTEXT,
	 "$D/c: cluster \"k\": certificate-authority; give an existing file or embed it: /dev/null is no regular file"},
	{"clusters: [{name: k, cluster: {server: \"https://h\", certificate-authority: c}}]\n" USER
		 CONTEXT,
	 "$D/c: holds no certificate; give a PEM bundle (-----BEGIN CERTIFICATE-----)"},
	{"clusters: [{name: k, cluster: {server: \"https://h\", certificate-authority-data: \"!!\"}}]\n" USER
		 CONTEXT,
	 "$D/c: cluster \"k\": certificate-authority-data: is no base64; encode it with `base64 -w0`"},
	{"clusters: [{name: k, cluster: {server: \"https://h\", certificate-authority-data: LS0tL}}]\n" USER
		 CONTEXT,
	 "$D/c: cluster \"k\": certificate-authority-data: is base64 cut short; encode it anew with `base64 -w0`"},
	{"clusters: [{name: k, cluster: {server: \"https://h\", certificate-authority-data: LS0tLS0=}}]\n" USER
		 CONTEXT,
	 "$D/c: cluster \"k\": certificate-authority-data: holds no certificate; give a PEM bundle (-----BEGIN CERTIFICATE-----)"},
	{"users: [{name: u, user: {token: \"two words\"}}]\n" CLUSTER CONTEXT,
	 "$D/c: user \"u\": token: is no token: it holds blanks, line ends or bytes beyond ASCII; write it anew"},
	{"users: [{name: u, user: {token: {a: b}}}]\n" CLUSTER CONTEXT,
	 "$D/c:1: user \"u\": token: is a map, must be a string"},
	{"users: [{name: u, user: {tokenFile: /absent/token}}]\n" CLUSTER CONTEXT,
	 "$D/c: user \"u\": tokenFile; give an existing file or embed it: /absent/token does not exist"},
	{"users: [{name: u, user: {tokenFile: empty}}]\n" CLUSTER CONTEXT,
	 "$D/empty: is empty; wait until the token is written, or create one (kubectl create token)"},
	{"users: [{name: u, user: {client-certificate-data: $CERT}}]\n" CLUSTER CONTEXT,
	 "$D/c:1: user \"u\": client-key: is missing beside client-certificate; give both or neither"},
	{"users: [{name: u, user: {client-key-data: $KEY}}]\n" CLUSTER CONTEXT,
	 "$D/c:1: user \"u\": client-certificate: is missing beside client-key; give both or neither"},
	{"users: [{name: u, user: {client-certificate-data: $CERT, client-key-data: $OTHER}}]\n" CLUSTER
		 CONTEXT,
	 "$D/c: user \"u\": client-key-data: the key does not belong to the certificate of $D/c: user \"u\": client-certificate-data; give the two that were issued together"},
	{"users: [{name: u, user: {client-certificate: empty, client-key-data: $KEY}}]\n" CLUSTER
		 CONTEXT,
	 "$D/empty: holds no whole certificate; give a PEM file (-----BEGIN CERTIFICATE-----)"},
	{"users: [{name: u, user: {client-certificate-data: $CERT, client-key: half}}]\n" CLUSTER
		 CONTEXT,
	 "$D/half: holds no whole private key; give a PEM file (-----BEGIN PRIVATE KEY-----)"},
	{"users: [{name: u, user: {client-certificate-data: $CERT, client-key: encrypted}}]\n" CLUSTER
		 CONTEXT,
	 "$D/encrypted: the private key is encrypted; decrypt it with `openssl pkey`"},
	{"users: [{name: u, user: {password: p}}]\n" CLUSTER CONTEXT,
	 "$D/c:1: user \"u\": username: is missing beside password; give both or neither"},
	{"users: [{name: u, user: {username: a, password: p, token: t}}]\n" CLUSTER CONTEXT,
	 "$D/c:1: user \"u\": username: stands beside a token; keep one way to authenticate"},
	{"users: [{name: u, user: {token: t, as-groups: [g]}}]\n" CLUSTER CONTEXT,
	 "$D/c:1: user \"u\": as: is missing beside the other as- fields; name the user to act as"},
	{"users: [{name: u, user: {token: t, as: \"a\\r\\nX: y\"}}]\n" CLUSTER CONTEXT,
	 "$D/c:1: user \"u\": as: is empty or holds line ends; give names on one line"},
	{"users: [{name: u, user: {token: t, as: a, as-user-extra: {k: v}}}]\n" CLUSTER CONTEXT,
	 "$D/c:1: user \"u\": as-user-extra: must map each key to a list of strings"},
	{"users: [{name: u, user: {auth-provider: {name: gcp}}}]\n" CLUSTER CONTEXT,
	 "$D/c:1: user \"u\": auth-provider: left Kubernetes with 1.26; use an exec plugin (users[].user.exec)"},
	{"users: [{name: u, user: {exec: {command: p}}}]\n" CLUSTER CONTEXT,
	 "$D/c:1: user \"u\": exec.apiVersion: is missing; must be client.authentication.k8s.io/v1 or client.authentication.k8s.io/v1beta1"},
	{"users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: p}}}]\n" CLUSTER
		 CONTEXT,
	 "$D/c:1: user \"u\": exec.apiVersion: is client.authentication.k8s.io/v1alpha1; must be client.authentication.k8s.io/v1 or client.authentication.k8s.io/v1beta1"},
	{"users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never}}}]\n" CLUSTER
		 CONTEXT,
	 "$D/c:1: user \"u\": exec.command: is missing; name the credential plugin"},
	{"users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: p}}}]\n" CLUSTER
		 CONTEXT,
	 "$D/c:1: user \"u\": exec.interactiveMode: is missing; must be Never, IfAvailable or Always"},
	{"users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: p, interactiveMode: Never, args: [[a]]}}}]\n" CLUSTER
		 CONTEXT,
	 "$D/c:1: user \"u\": exec.args: must be a list of strings"},
	{"users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: p, interactiveMode: Never, env: [{value: v}]}}}]\n" CLUSTER
		 CONTEXT,
	 "$D/c:1: user \"u\": exec.env: an entry lacks a name; give {name, value}"},
};

static char *encrypt(const char *key)
{
	BIO *b = BIO_new(BIO_s_mem());
	EVP_PKEY *k = pki_key_(key);

	PEM_write_bio_PKCS8PrivateKey(b, k, EVP_aes_128_cbc(), "word", 4, NULL, NULL);
	EVP_PKEY_free(k);
	return pki_text_(b);
}

static void each_mistake_is_one_sentence_with_file_field_and_remedy(void)
{
	auto_free char *encrypted = NULL;

	begin();
	put("empty", "");
	put("half", "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49");
	encrypted = encrypt(client.key);
	put_pem("encrypted", encrypted);
	for (size_t i = 0; i < ARRAY_LEN(bad_rows); i++) {
		put("c", bad_rows[i].yaml);
		err_set(&err, "no error");
		if (load("$D/c") != -1) {
			printf("# row %zu was accepted\n", i);
		}
		is_str(sentence(), bad_rows[i].sentence);
		ok(!strchr(err.text, '\n'));
	}
}

static void missing_files_are_named(void)
{
	begin();
	is_int(load("$D/none"), -1);
	is_str(sentence(), "kubeconfig: $D/none does not exist");
	is_int(load("$D/none:$D/nor"), -1);
	is_str(sentence(),
	       "kubeconfig: none of the files in KUBECONFIG exists; give an existing one with --kubeconfig");
	is_int(load("$D"), -1);
	is_str(sentence(), "kubeconfig: $D is a directory, not a file");
	{
		struct config_env env = {.home = dir};

		is_int(config_load(&env, &c, &err), -1);
		is_str(sentence(),
		       "there is no cluster to talk to: give --kubeconfig=FILE or set KUBECONFIG ($D/.kube/config does not exist, and this is no pod)");
	}
}

static void oversized_file_is_refused(void)
{
	auto_free char *path = NULL;

	begin();
	path = xprintf("%s/c", dir);
	put("c", "");
	is_int(truncate(path, 5000000), 0);
	is_int(load("$D/c"), -1);
	is_str(sentence(), "kubeconfig: $D/c is larger than 4096 KiB");
}

static void home_is_the_last_resort(void)
{
	struct config_env env = {.home = dir};

	begin();
	make_dir(".kube");
	put(".kube/config", CLUSTER USER CONTEXT);
	is_int(config_load(&env, &c, &err), 0);
	is_str(c.token, "secret-token");
}

static void kubeconfig_may_come_through_a_pipe(void)
{
	auto_free char *path = NULL;
	int fds[2];

	begin();
	is_int(pipe2(fds, O_CLOEXEC), 0);
	ok(write(fds[1], CLUSTER USER CONTEXT, sizeof(CLUSTER USER CONTEXT) - 1) > 0);
	close(fds[1]);
	path = xprintf("/proc/self/fd/%d", fds[0]);
	is_int(load(path), 0);
	close(fds[0]);
	is_str(c.token, "secret-token");
	is_int(config_refresh(&c, &err), 0); /* cannot be read again: what it said stays */
	is_str(c.token, "secret-token");
}

/* Service account */

static int load_pod(const char *host)
{
	struct config_env env = {
		.service_host = host, .service_port = "443", .secrets_dir = dir, .home = "/absent"};

	return config_load(&env, &c, &err);
}

static void service_account_of_the_pod_is_used(void)
{
	begin();
	put("token", "first\n");
	put_pem("ca.crt", ca.cert);
	is_int(load_pod("10.96.0.1"), 0);
	is_str(c.server, "https://10.96.0.1:443");
	is_str(c.token, "first");
	is_str(c.ca, ca.cert);
	ok(!c.ns);
	config_finish(&c);
	put("namespace", "vmgpu-system\n");
	is_int(load_pod("fd00::1"), 0);
	is_str(c.server, "https://[fd00::1]:443");
	is_str(c.ns, "vmgpu-system");
}

static void broken_service_account_is_named(void)
{
	begin();
	is_int(load_pod("h"), -1);
	is_str(sentence(),
	       "service account of this pod (is automountServiceAccountToken off? else give --kubeconfig): $D/token does not exist");
	put("token", "");
	put_pem("ca.crt", ca.cert);
	is_int(load_pod("h"), -1);
	is_str(sentence(),
	       "$D/token: is empty; wait until the token is written, or create one (kubectl create token)");
	put("token", "t");
	put_pem("ca.crt", "");
	is_int(load_pod("h"), -1);
	is_str(sentence(),
	       "$D/ca.crt: holds no certificate; give a PEM bundle (-----BEGIN CERTIFICATE-----)");
}

static void rotated_files_are_picked_up_and_broken_ones_are_not(void)
{
	auto_free char *half = NULL, *bundle = NULL;

	begin();
	put("token", "first");
	put_pem("ca.crt", ca.cert);
	is_int(load_pod("h"), 0);
	is_int(config_refresh(&c, &err), 0);
	is_int(c.generation, 1);
	put("token", "second\n");
	is_int(config_refresh(&c, &err), 1);
	is_str(c.token, "second");
	is_int(c.generation, 2);
	put("token", ""); /* the old value stays */
	is_int(config_refresh(&c, &err), -1);
	is_str(sentence(),
	       "$D/token: is empty; wait until the token is written, or create one (kubectl create token)");
	is_str(c.token, "second");
	put("token", "second");
	half = xstrndup(ca.cert, strlen(ca.cert) / 2);
	put_pem("ca.crt", half);
	is_int(config_refresh(&c, &err), -1);
	is_str(c.ca, ca.cert);
	bundle = xprintf("%s%s", ca.cert, half); /* the first is whole, the second is not */
	put_pem("ca.crt", bundle);
	is_int(config_refresh(&c, &err), -1);
	is_str(sentence(),
	       "$D/ca.crt: certificate 2 is broken or half written; write the PEM bundle anew");
	is_str(c.ca, ca.cert);
	is_int(c.generation, 2);
	put_pem("ca.crt", other.cert);
	is_int(config_refresh(&c, &err), 1);
	is_str(c.ca, other.cert);
	is_int(c.generation, 3);
	drop("token");
	is_int(config_refresh(&c, &err), -1);
	is_str(c.token, "second");
}

static void rotated_certificate_waits_for_its_key(void)
{
	begin();
	put_pem("crt", client.cert);
	put_pem("key", client.key);
	put("c", CLUSTER CONTEXT
	    "users: [{name: u, user: {client-certificate: crt, client-key: key}}]\n");
	is_int(load("$D/c"), 0);
	put_pem("crt", other.cert);
	is_int(config_refresh(&c, &err), -1);
	has(err.text, "does not belong");
	is_str(c.cert, client.cert);
	put_pem("key", other.key);
	is_int(config_refresh(&c, &err), 1);
	is_str(c.cert, other.cert);
	is_str(c.key, other.key);
}

static void token_beside_its_file_serves_while_the_file_is_gone(void)
{
	begin();
	put("c", CLUSTER CONTEXT "users: [{name: u, user: {token: spare, tokenFile: t}}]\n");
	is_int(load("$D/c"), 0);
	is_str(c.token, "spare");
	put("t", "fresh");
	is_int(config_refresh(&c, &err), 1);
	is_str(c.token, "fresh");
}

static void edited_kubeconfig_is_picked_up(void)
{
	begin();
	put("c", CLUSTER USER CONTEXT);
	is_int(load("$D/c"), 0);
	put("c", "clusters: [{name: k, cluster: {server: \"https://new\"}}]\n" USER CONTEXT);
	is_int(config_refresh(&c, &err), 1);
	is_str(c.server, "https://new");
}

TESTS({"a whole kubeconfig is read", whole_kubeconfig_is_read},
      {"a kubeconfig may be JSON", json_is_yaml},
      {"of a KUBECONFIG list the first file wins per entry", first_file_of_a_list_wins_per_entry},
      {"another context can be chosen", context_can_be_chosen},
      {"each mistake is one sentence with file, field and remedy",
       each_mistake_is_one_sentence_with_file_field_and_remedy},
      {"missing kubeconfigs are named", missing_files_are_named},
      {"an oversized kubeconfig is refused", oversized_file_is_refused},
      {"~/.kube/config is the last resort", home_is_the_last_resort},
      {"a kubeconfig may come through a pipe", kubeconfig_may_come_through_a_pipe},
      {"the service account of the pod is used", service_account_of_the_pod_is_used},
      {"a broken service account is named", broken_service_account_is_named},
      {"rotated files are picked up, broken ones are not",
       rotated_files_are_picked_up_and_broken_ones_are_not},
      {"a rotated certificate waits for its key", rotated_certificate_waits_for_its_key},
      {"a token beside its file serves while the file is gone",
       token_beside_its_file_serves_while_the_file_is_gone},
      {"an edited kubeconfig is picked up", edited_kubeconfig_is_picked_up})
