/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/config_source.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/clock.h"
#include "json/write.h"

#define GROUP "client.authentication.k8s.io/"
/* Of KUBERNETES_EXEC_INFO: the kernel takes 128 KiB a variable; a larger one fails there. */
#define CLUSTER_MAX (256 * KiB)

extern char **environ;

struct config_exec *config_exec_destroy(struct config_exec *x)
{
	if (x) {
		free(x->version);
		config_strings_free(x->argv);
		config_strings_free(x->env);
		config_strings_free(x->environ);
		free(x->hint);
		free(x->cluster);
		free(x);
	}
	return NULL;
}

bool config_exec_same(const struct config_exec *a, const struct config_exec *b)
{
	return a && b && str_eq(a->version, b->version) && config_strings_eq(a->argv, b->argv) &&
	       config_strings_eq(a->env, b->env) && str_eq(a->cluster, b->cluster);
}

static int read_version(const struct config_node *n, struct config_exec *x, struct err *err)
{
	const char *version;

	if (config_node_text(n, "apiVersion", &version, err) < 0) {
		return -1;
	}
	if (!str_eq(version, GROUP "v1") && !str_eq(version, GROUP "v1beta1")) {
		return config_node_bad(n, "exec.apiVersion", err,
				       "is %s; must be " GROUP "v1 or " GROUP "v1beta1",
				       version ? version : "missing");
	}
	x->version = xstrdup(version);
	return 0;
}

static int read_argv(const struct config_node *n, struct config_exec *x, struct err *err)
{
	struct config_node args;
	const char *command;

	if (config_node_text(n, "command", &command, err) < 0 ||
	    config_node_list(n, "args", &args, err) < 0) {
		return -1;
	}
	if (!command) {
		return config_node_bad(n, "exec.command", err,
				       "is missing; name the credential plugin");
	}
	/* A bare name is looked up in PATH, a relative path against the kubeconfig. */
	config_strings_add(&x->argv, *command != '/' && strchr(command, '/')
					     ? xprintf("%s/%s", n->file->dir, command)
					     : xstrdup(command));
	for (size_t i = 0; i < config_node_length(&args); i++) {
		struct config_node item = config_node_item(&args, i);
		const char *arg = config_node_scalar(&item);

		if (!arg) {
			return config_node_bad(&item, "exec.args", err,
					       "must be a list of strings");
		}
		config_strings_add(&x->argv, xstrdup(arg));
	}
	return 0;
}

static int read_env(const struct config_node *n, struct config_exec *x, struct err *err)
{
	struct config_node env;

	if (config_node_list(n, "env", &env, err) < 0) {
		return -1;
	}
	for (size_t i = 0; i < config_node_length(&env); i++) {
		struct config_node item = config_node_item(&env, i);
		const char *name, *value;

		if (item.node->type != YAML_MAPPING_NODE) {
			return config_node_bad(&item, "exec.env", err,
					       "must be a list of {name, value}");
		}
		if (config_node_text(&item, "name", &name, err) < 0 ||
		    config_node_text(&item, "value", &value, err) < 0) {
			return -1;
		}
		if (!name || strchr(name, '=')) {
			return config_node_bad(&item, "exec.env", err,
					       "an entry lacks a name; give {name, value}");
		}
		config_strings_add(&x->env, xprintf("%s=%s", name, value ? value : ""));
	}
	return 0;
}

static int read_ask(const struct config_node *n, struct config_exec *x, struct err *err)
{
	static const char *const modes[] = {"Never", "IfAvailable", "Always"};
	const char *mode;

	if (config_node_text(n, "interactiveMode", &mode, err) < 0) {
		return -1;
	}
	if (!mode && str_ends(x->version, "/v1beta1")) {
		mode = "IfAvailable";
	}
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		if (str_eq(mode, modes[i])) {
			x->ask = (enum config_ask)i;
			return 0;
		}
	}
	return config_node_bad(n, "exec.interactiveMode", err,
			       "is %s; must be Never, IfAvailable or Always",
			       mode ? mode : "missing");
}

int config_exec_read(const struct config_node *exec, struct config_exec **ret, struct err *err)
{
	struct config_exec *x = xcalloc(1, sizeof(*x));
	const char *hint;

	x->expires_ms = INT64_MAX;
	if (read_version(exec, x, err) < 0 || read_argv(exec, x, err) < 0 ||
	    read_env(exec, x, err) < 0 || read_ask(exec, x, err) < 0 ||
	    config_node_text(exec, "installHint", &hint, err) < 0 ||
	    config_node_bool(exec, "provideClusterInfo", &x->wants_cluster, err) < 0) {
		config_exec_destroy(x);
		return -1;
	}
	x->hint = hint ? xstrdup(hint) : NULL;
	*ret = x;
	return 0;
}

/* The cluster's extension of this name is handed to the plugin as spec.cluster.config. */
static int find_extension(const struct config_node *cluster, struct config_node *ret,
			  struct err *err)
{
	struct config_node list;

	*ret = (struct config_node){0};
	if (config_node_list(cluster, "extensions", &list, err) < 0) {
		return -1;
	}
	for (size_t i = 0; i < config_node_length(&list); i++) {
		struct config_node item = config_node_item(&list, i);
		const char *name;

		if (item.node->type != YAML_MAPPING_NODE) {
			return config_node_bad(&item, "extensions", err,
					       "must be a list of {name, extension}");
		}
		if (config_node_text(&item, "name", &name, err) < 0) {
			return -1;
		}
		if (str_eq(name, GROUP "exec") &&
		    config_node_map(&item, "extension", ret, err) < 0) {
			return -1;
		}
	}
	return 0;
}

static void set_new(json_t *o, const char *key, json_t *value)
{
	json_object_set_new(o, key, value); /* a NULL value is refused and left out */
}

int config_exec_set_cluster(struct config_exec *x, const struct config_node *cluster,
			    const struct config *c, struct err *err)
{
	auto_free char *extension = NULL;
	struct config_node node;
	const char *data;
	json_t *o;

	if (find_extension(cluster, &node, err) < 0 ||
	    config_node_text(cluster, "certificate-authority-data", &data, err) < 0 ||
	    (node.node && config_node_json(&node, CLUSTER_MAX, &extension, err) < 0)) {
		return -1;
	}
	o = json_object();
	set_new(o, "server", json_string(c->server));
	set_new(o, "tls-server-name", json_string(c->server_name));
	set_new(o, "insecure-skip-tls-verify", c->insecure ? json_true() : NULL);
	set_new(o, "proxy-url", json_string(c->proxy));
	if (data) {
		set_new(o, "certificate-authority-data", json_string(data));
	} else if (c->ca) {
		auto_free char *encoded = base64_encode(c->ca);

		set_new(o, "certificate-authority-data", json_string(encoded));
	}
	set_new(o, "config", extension ? json_loads(extension, 0, NULL) : NULL);
	x->cluster = json_text(o, JSON_COMPACT);
	json_decref(o);
	return 0;
}

/* Running */

static struct config_exec *plugin(const struct config *c)
{
	return c->source ? c->source->exec : NULL;
}

bool config_exec_wanted(const struct config *c, int64_t wall_ms)
{
	const struct config_exec *x = plugin(c);

	return x && (!x->have || x->stale || wall_ms >= x->expires_ms);
}

char *const *config_exec_argv(const struct config *c)
{
	return plugin(c) ? plugin(c)->argv : NULL;
}

const char *config_exec_hint(const struct config *c)
{
	return plugin(c) ? plugin(c)->hint : NULL;
}

bool config_exec_stdin(const struct config *c)
{
	return plugin(c) && plugin(c)->ask != CONFIG_ASK_NEVER && c->source->env.terminal;
}

bool config_exec_blind(const struct config *c)
{
	return plugin(c) && plugin(c)->ask == CONFIG_ASK_ALWAYS && !c->source->env.terminal;
}

void config_exec_expire(struct config *c)
{
	if (plugin(c)) {
		plugin(c)->stale = true;
	}
}

/* Does the list hold a variable of this name already? entry: "NAME=value". */
static bool has_name(char *const *list, const char *entry)
{
	size_t n = strcspn(entry, "=") + 1;

	for (; list && *list; list++) {
		if (strncmp(*list, entry, n) == 0) {
			return true;
		}
	}
	return false;
}

char *const *config_exec_environ(const struct config *c)
{
	struct config_exec *x = plugin(c);

	if (!x) {
		return NULL;
	}
	x->environ = config_strings_free(x->environ);
	config_strings_add(
		&x->environ,
		xprintf("KUBERNETES_EXEC_INFO={\"apiVersion\":\"%s\",\"kind\":\"ExecCredential\",\"spec\":{%s%s%s\"interactive\":%s}}",
			x->version, x->cluster ? "\"cluster\":" : "", x->cluster ? x->cluster : "",
			x->cluster ? "," : "", config_exec_stdin(c) ? "true" : "false"));
	for (char **e = x->env; e && *e; e++) {
		config_strings_add(&x->environ, xstrdup(*e));
	}
	for (char **e = environ; e && *e; e++) {
		if (!has_name(x->environ, *e)) {
			config_strings_add(&x->environ, xstrdup(*e));
		}
	}
	return x->environ;
}

/* What a plugin printed */

struct credential {
	const char *token, *cert, *key;
	int64_t expires_ms;
};

static int bad(const struct config_exec *x, struct err *err, const char *what)
{
	return err_set(err, "exec plugin %s: %s; run it by hand to see what it prints", x->argv[0],
		       what);
}

/* A member that is absent, null or a non-empty string. */
static int member(const json_t *o, const char *name, const char **ret)
{
	const json_t *v = json_object_get(o, name);

	if (v && !json_is_null(v) && !json_is_string(v)) {
		return -1;
	}
	*ret = v && json_is_string(v) && *json_string_value(v) ? json_string_value(v) : NULL;
	return 0;
}

static int read_credential(const struct config_exec *x, const json_t *root, struct credential *ret,
			   struct err *err)
{
	const json_t *status = json_object_get(root, "status");
	const char *expires;
	int64_t us;

	if (!str_eq(json_string_value(json_object_get(root, "kind")), "ExecCredential")) {
		return bad(x, err, "printed an object that is no ExecCredential");
	}
	if (!str_eq(json_string_value(json_object_get(root, "apiVersion")), x->version)) {
		return err_set(
			err,
			"exec plugin %s: answered in another apiVersion than %s; set exec.apiVersion to the one it speaks",
			x->argv[0], x->version);
	}
	if (!json_is_object(status) || member(status, "token", &ret->token) < 0 ||
	    member(status, "clientCertificateData", &ret->cert) < 0 ||
	    member(status, "clientKeyData", &ret->key) < 0 ||
	    member(status, "expirationTimestamp", &expires) < 0) {
		return bad(
			x, err,
			"printed no status with strings token, clientCertificateData, clientKeyData, expirationTimestamp");
	}
	if (!ret->cert != !ret->key) {
		return bad(x, err,
			   "gave one of clientCertificateData and clientKeyData without the other");
	}
	if (!ret->token && !ret->cert) {
		return bad(x, err, "gave neither a token nor a client certificate");
	}
	ret->expires_ms = INT64_MAX;
	if (expires && clock_parse(expires, &us) < 0) {
		return bad(x, err, "gave an expirationTimestamp that is no RFC 3339 time");
	}
	if (expires) {
		ret->expires_ms = us / 1000;
	}
	return 0;
}

static int check_credential(const struct config_exec *x, const struct credential *cr,
			    int64_t wall_ms, struct err *err)
{
	auto_free char *from = xprintf("exec plugin %s", x->argv[0]);

	if (cr->token && config_check_token(cr->token, from, err) < 0) {
		return -1;
	}
	if (cr->cert && config_check_pair(cr->cert, cr->key, from, from, err) < 0) {
		return -1;
	}
	return cr->expires_ms <= wall_ms
		       ? bad(x, err,
			     "gave a credential that has expired already (is the clock right?)")
		       : 0;
}

static bool replace(char **field, const char *value)
{
	if (str_eq(*field, value)) {
		return false;
	}
	config_forget(*field);
	*field = value ? xstrdup(value) : NULL;
	return true;
}

int config_exec_result(struct config *c, const char *json, size_t n, int64_t wall_ms,
		       struct err *err)
{
	struct config_exec *x = plugin(c);
	struct credential cr;
	json_t *root;
	bool changed;

	if (!x) {
		return err_set(err, "the kubeconfig names no exec plugin any more");
	}
	root = json_loadb(json, n, JSON_REJECT_DUPLICATES, NULL);
	if (!root) {
		return bad(x, err, "printed no JSON");
	}
	if (read_credential(x, root, &cr, err) < 0 || check_credential(x, &cr, wall_ms, err) < 0) {
		json_decref(root);
		return -1;
	}
	changed = replace(&c->token, cr.token);
	if (cr.cert) { /* a certificate of the kubeconfig's own stays beside a plugin that gives a
			  token only */
		changed |= replace(&c->cert, cr.cert);
		changed |= replace(&c->key, cr.key);
	}
	x->have = true;
	x->gave_cert |= cr.cert != NULL;
	x->stale = false;
	x->expires_ms = cr.expires_ms;
	c->generation += changed;
	json_decref(root);
	return 0;
}
