/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/config_source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <curl/curl.h>

#include "base/file.h"

#define MAX_FILES 32

/* The kubeconfig files of one load, in their order. */
struct set {
	struct config_file files[MAX_FILES];
	size_t n;
};

static void set_finish(struct set *s)
{
	for (size_t i = 0; i < s->n; i++) {
		config_file_finish(&s->files[i]);
	}
}

static bool is_regular(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static int set_add(struct set *s, const char *path, struct config *c, struct err *err)
{
	auto_free char *text = NULL;
	size_t n;

	if (s->n >= MAX_FILES) {
		return err_set(
			err,
			"KUBECONFIG names more than %d files; merge some (kubectl config view --flatten)",
			MAX_FILES);
	}
	if (file_read(path, CONFIG_FILE_MAX, FILE_ANY, &text, &n, err) < 0) {
		return err_wrap(err, "kubeconfig");
	}
	c->source->once |= !is_regular(path);
	return config_file_parse(&s->files[s->n++], path, text, n, err);
}

/* One path must exist; of a list, those that do not are passed over, as kubectl does, unless none
 * is left. */
static int set_load(struct set *s, const char *list, struct config *c, struct err *err)
{
	bool several = strchr(list, ':');

	while (*list) {
		size_t n = strcspn(list, ":");
		auto_free char *path = xstrndup(list, n);
		struct stat st;

		list += n + (list[n] == ':');
		if (!n || (several && stat(path, &st) < 0 && errno == ENOENT)) {
			continue;
		}
		if (set_add(s, path, c, err) < 0) {
			return -1;
		}
	}
	return s->n ? 0
		    : err_set(err,
			      "kubeconfig: none of the files in KUBECONFIG exists; give an existing one with --kubeconfig");
}

/* Entries */

/* `users: [{name: u, user: {...}}]`: the first file that has an entry of this name wins. ret->node
 * NULL: none has. */
static int find_in_file(struct config_file *f, const char *section, const char *name,
			const char *inner, const char *label, struct config_node *ret,
			struct err *err)
{
	struct config_node root = config_file_root(f), list, found = {0};

	root.label = NULL;
	if (config_node_list(&root, section, &list, err) < 0) {
		return -1;
	}
	for (size_t i = 0; i < config_node_length(&list); i++) {
		struct config_node item = config_node_item(&list, i), value;
		const char *item_name;

		if (item.node->type != YAML_MAPPING_NODE) {
			return config_node_bad(&item, section, err, "must be a list of {name, %s}",
					       inner);
		}
		if (config_node_text(&item, "name", &item_name, err) < 0) {
			return -1;
		}
		if (!str_eq(item_name ? item_name : "", name)) {
			continue;
		}
		if (found.node) {
			return config_node_bad(&item, section, err,
					       "two entries are named \"%s\"; remove or rename one",
					       name);
		}
		item.label = label;
		if (config_node_map(&item, inner, &value, err) < 0) {
			return -1;
		}
		found = value.node ? value : item; /* an entry without content: every field of it
						      reads as absent */
	}
	*ret = found;
	return 0;
}

static int find_entry(struct set *s, const char *section, const char *name, const char *inner,
		      const char *label, struct config_node *ret, struct err *err)
{
	*ret = (struct config_node){0};
	for (size_t i = 0; i < s->n && !ret->node; i++) {
		if (find_in_file(&s->files[i], section, name, inner, label, ret, err) < 0) {
			return -1;
		}
	}
	return 0;
}

/* The names in a section, for sentences: "a, b". */
static void list_names(struct set *s, const char *section, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < s->n; i++) {
		struct config_node root = config_file_root(&s->files[i]), list = {0};

		if (config_node_list(&root, section, &list, NULL) < 0) {
			continue;
		}
		for (size_t k = 0; k < config_node_length(&list); k++) {
			struct config_node item = config_node_item(&list, k);
			const char *name = NULL;

			if (item.node->type == YAML_MAPPING_NODE &&
			    config_node_text(&item, "name", &name, NULL) == 0 && name &&
			    used + strlen(name) + 3 < size) {
				used += (size_t)snprintf(text + used, size - used, "%s%s",
							 used ? ", " : "", name);
			}
		}
	}
}

static int current_context(struct set *s, const struct config_env *env, const char **ret,
			   struct err *err)
{
	char names[300];

	*ret = str_empty(env->context) ? NULL : env->context;
	for (size_t i = 0; i < s->n && !*ret; i++) {
		struct config_node root = config_file_root(&s->files[i]);

		if (config_node_text(&root, "current-context", ret, err) < 0) {
			return -1;
		}
	}
	if (*ret) {
		return 0;
	}
	list_names(s, "contexts", names, sizeof(names));
	return err_set(err, "%s: current-context is not set; %s%s%s", s->files[0].path,
		       *names ? "give --context or run `kubectl config use-context` with one of: "
			      : "",
		       *names ? names : "the file holds no context: is it a kubeconfig?", "");
}

static int no_entry(struct set *s, const char *section, const char *what, const char *name,
		    const char *remedy, struct err *err)
{
	char names[300];

	list_names(s, section, names, sizeof(names));
	return err_set(err, "%s: there is no %s \"%s\"; %s%s%s", s->files[0].path, what, name,
		       remedy, *names ? "; there are: " : "", names);
}

/* Cluster */

/* https://host[:port][/path], nothing else, without the trailing slash. */
static int parse_server(const char *server, char **ret, const char **ret_problem)
{
	char *scheme = NULL, *user = NULL, *query = NULL, *host = NULL;
	CURLU *u = curl_url();
	size_t n = strlen(server);

	*ret_problem = NULL;
	if (curl_url_set(u, CURLUPART_URL, server, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
	    (!str_eq(scheme, "https") && !str_eq(scheme, "http")) ||
	    curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK || str_empty(host)) {
		*ret_problem = "is no URL like https://host:6443";
	} else if (curl_url_get(u, CURLUPART_USER, &user, 0) == CURLUE_OK) {
		*ret_problem = "must not hold a user; put credentials into the users section";
	} else if (curl_url_get(u, CURLUPART_QUERY, &query, 0) == CURLUE_OK ||
		   strchr(server, '#')) {
		*ret_problem = "must not hold a query or fragment";
	}
	curl_free(scheme), curl_free(user), curl_free(query), curl_free(host);
	curl_url_cleanup(u);
	if (*ret_problem) {
		return -1;
	}
	while (n && server[n - 1] == '/') {
		n--;
	}
	*ret = xstrndup(server, n);
	return 0;
}

static int read_proxy(const struct config_node *cluster, struct config *c, struct err *err)
{
	static const char *const schemes[] = {"http://", "https://", "socks5://", "socks5h://"};
	const char *proxy;

	if (config_node_text(cluster, "proxy-url", &proxy, err) < 0) {
		return -1;
	}
	if (!proxy) {
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		if (str_starts(proxy, schemes[i]) && proxy[strlen(schemes[i])]) {
			c->proxy = xstrdup(proxy);
			return 0;
		}
	}
	return config_node_bad(cluster, "proxy-url", err, "is no URL with http, https or socks5");
}

static int read_trust(const struct config_node *cluster, struct config *c, struct err *err)
{
	auto_free char *from = NULL;
	const char *name;

	if (config_node_bool(cluster, "insecure-skip-tls-verify", &c->insecure, err) < 0 ||
	    config_node_text(cluster, "tls-server-name", &name, err) < 0 ||
	    config_read_pem(cluster, "certificate-authority", &c->ca, &from, err) < 0) {
		return -1;
	}
	if (c->ca && c->insecure) { /* as client-go refuses it */
		return config_node_bad(
			cluster, "insecure-skip-tls-verify", err,
			"stands beside a certificate-authority; remove one of the two");
	}
	if (c->ca && config_check_ca(c->ca, from, err) < 0) {
		return -1;
	}
	if (name && strcspn(name, "/: \t\r\n") != strlen(name)) {
		return config_node_bad(cluster, "tls-server-name", err,
				       "is \"%s\"; must be a host name", name);
	}
	c->server_name = name ? xstrdup(name) : NULL;
	c->ca_from =
		from ? take(from)
		     : xprintf("the system's certificates (%s: %s names no certificate-authority)",
			       cluster->file->path, cluster->label);
	return 0;
}

static int read_cluster(const struct config_node *cluster, struct config *c, struct err *err)
{
	const char *server, *problem;

	if (config_node_text(cluster, "server", &server, err) < 0) {
		return -1;
	}
	if (!server) {
		return config_node_bad(cluster, "server", err,
				       "is missing; give the API server's URL (https://host:6443)");
	}
	if (parse_server(server, &c->server, &problem) < 0) {
		/* What holds a user or a query may hold a password. */
		return strpbrk(server, "@?#")
			       ? config_node_bad(cluster, "server", err, "%s", problem)
			       : config_node_bad(cluster, "server", err, "\"%s\" %s", server,
						 problem);
	}
	return read_proxy(cluster, c, err) < 0 ? -1 : read_trust(cluster, c, err);
}

/* Loading */

static int check_kind(struct config_file *f, struct err *err)
{
	struct config_node root = config_file_root(f);
	const char *kind;

	if (config_node_text(&root, "kind", &kind, err) < 0) {
		return -1;
	}
	return kind && !str_eq(kind, "Config")
		       ? config_node_bad(&root, "kind", err,
					 "is %s, must be Config: this is no kubeconfig", kind)
		       : 0;
}

static int read_user_entry(struct set *s, const char *name, struct config *c, struct err *err)
{
	auto_free char *label = xprintf("user \"%s\"", name ? name : "");
	struct config_node user;

	if (!name) {
		c->auth_from = xstrdup("no credentials (the context names no user)");
		return 0;
	}
	if (find_entry(s, "users", name, "user", label, &user, err) < 0) {
		return -1;
	}
	if (!user.node) {
		return no_entry(s, "users", "user", name, "mend the context or add the user", err);
	}
	if (config_read_user(&user, c, err) < 0) {
		return -1;
	}
	if (!c->auth_from) {
		c->auth_from = xprintf("no credentials (%s: %s)", user.file->path, label);
	}
	return 0;
}

static int read_context(struct set *s, const char *name, struct config *c, struct err *err)
{
	auto_free char *label = xprintf("context \"%s\"", name), *cluster_label = NULL;
	const char *cluster_name, *user_name, *ns;
	struct config_node context, cluster;

	if (find_entry(s, "contexts", name, "context", label, &context, err) < 0) {
		return -1;
	}
	if (!context.node) {
		return no_entry(s, "contexts", "context", name, "give another with --context", err);
	}
	if (config_node_text(&context, "cluster", &cluster_name, err) < 0 ||
	    config_node_text(&context, "user", &user_name, err) < 0 ||
	    config_node_text(&context, "namespace", &ns, err) < 0) {
		return -1;
	}
	if (!cluster_name) {
		return config_node_bad(&context, "cluster", err,
				       "is missing; name one of the clusters");
	}
	cluster_label = xprintf("cluster \"%s\"", cluster_name);
	if (find_entry(s, "clusters", cluster_name, "cluster", cluster_label, &cluster, err) < 0) {
		return -1;
	}
	if (!cluster.node) {
		return no_entry(s, "clusters", "cluster", cluster_name,
				"mend the context or add the cluster", err);
	}
	c->ns = ns ? xstrdup(ns) : NULL;
	if (read_cluster(&cluster, c, err) < 0 || read_user_entry(s, user_name, c, err) < 0) {
		return -1;
	}
	return c->source->exec && c->source->exec->wants_cluster
		       ? config_exec_set_cluster(c->source->exec, &cluster, c, err)
		       : 0;
}

static int load_kubeconfig(const char *list, struct config *c, struct err *err)
{
	attr_cleanup(set_finish) struct set s;
	const char *context;

	s.n = 0;
	if (set_load(&s, list, c, err) < 0) {
		return -1;
	}
	for (size_t i = 0; i < s.n; i++) {
		if (check_kind(&s.files[i], err) < 0) {
			return -1;
		}
	}
	return current_context(&s, &c->source->env, &context, err) < 0
		       ? -1
		       : read_context(&s, context, c, err);
}

static void trim_end(char *s)
{
	size_t n = strlen(s);

	while (n && strchr(" \t\r\n", s[n - 1])) {
		s[--n] = '\0';
	}
}

/* The kubelet mounts token, ca.crt and namespace; host and port come from its environment. */
static int load_service_account(struct config *c, struct err *err)
{
	const struct config_env *env = &c->source->env;
	auto_free char *ns = xprintf("%s/namespace", env->secrets_dir);

	c->auth_from = xprintf("%s/token", env->secrets_dir);
	c->ca_from = xprintf("%s/ca.crt", env->secrets_dir);
	c->server = xprintf(strchr(env->service_host, ':') ? "https://[%s]:%s" : "https://%s:%s",
			    env->service_host, env->service_port);
	if (file_read(c->auth_from, CONFIG_FILE_MAX, 0, &c->token, NULL, err) < 0 ||
	    file_read(c->ca_from, CONFIG_FILE_MAX, 0, &c->ca, NULL, err) < 0) {
		return err_wrap(
			err,
			"service account of this pod (is automountServiceAccountToken off? else give --kubeconfig)");
	}
	trim_end(c->token);
	if (config_check_token(c->token, c->auth_from, err) < 0 ||
	    config_check_ca(c->ca, c->ca_from, err) < 0) {
		return -1;
	}
	if (file_read(ns, KiB, 0, &c->ns, NULL, NULL) ==
	    0) { /* absent in a hand-made mount: then there is none */
		trim_end(c->ns);
	}
	return 0;
}

static int load(struct config *c, struct err *err)
{
	const struct config_env *env = &c->source->env;
	auto_free char *home = NULL;

	if (!str_empty(env->kubeconfig)) {
		return load_kubeconfig(env->kubeconfig, c, err);
	}
	if (!str_empty(env->service_host) && !str_empty(env->service_port)) {
		return load_service_account(c, err);
	}
	home = xprintf("%s/.kube/config", str_empty(env->home) ? "" : env->home);
	if (str_empty(env->home) || !is_regular(home)) {
		return err_set(
			err,
			"there is no cluster to talk to: give --kubeconfig=FILE or set KUBECONFIG "
			"(%s does not exist, and this is no pod)",
			home);
	}
	return load_kubeconfig(home, c, err);
}

static const char *copy(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

static struct config_source *source_create(const struct config_env *env)
{
	struct config_source *s = xcalloc(1, sizeof(*s));

	s->env = (struct config_env){
		.kubeconfig = copy(env->kubeconfig),
		.home = copy(env->home),
		.context = copy(env->context),
		.service_host = copy(env->service_host),
		.service_port = copy(env->service_port),
		.secrets_dir = copy(env->secrets_dir ? env->secrets_dir : CONFIG_SECRETS_DIR),
		.terminal = env->terminal,
	};
	return s;
}

static void source_destroy(struct config_source *s)
{
	if (!s) {
		return;
	}
	free((char *)s->env.kubeconfig), free((char *)s->env.home), free((char *)s->env.context);
	free((char *)s->env.service_host), free((char *)s->env.service_port),
		free((char *)s->env.secrets_dir);
	config_exec_destroy(s->exec);
	free(s);
}

/* Names and values from the file stand in the sentence: they must not break it into lines. */
static void one_line(struct err *err)
{
	for (char *p = err ? err->text : NULL; p && *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f) {
			*p = '?';
		}
	}
}

int config_load(const struct config_env *env, struct config *ret, struct err *err)
{
	struct config c = {.source = source_create(env), .generation = 1};

	if (load(&c, err) < 0) {
		one_line(err);
		config_finish(&c);
		return -1;
	}
	*ret = c;
	return 0;
}

void config_finish(struct config *c)
{
	free(c->server), free(c->server_name), free(c->proxy), free(c->ns);
	free(c->ca), free(c->cert), free(c->user), free(c->ca_from), free(c->auth_from);
	config_forget(c->key), config_forget(c->token), config_forget(c->password);
	config_strings_free(c->as_headers);
	source_destroy(c->source);
	*c = (struct config){0};
}

/* Refreshing */

/* What an exec plugin gave stays while the plugin is the same. */
static void keep_exec(struct config *fresh, struct config *old)
{
	struct config_exec *was = old->source->exec, *now = fresh->source->exec;

	if (!config_exec_same(was, now)) {
		return;
	}
	now->have = was->have;
	now->stale = was->stale;
	now->expires_ms = was->expires_ms;
	now->gave_cert = was->gave_cert;
	fresh->token = old->token ? xstrdup(old->token) : NULL;
	if (was->gave_cert) {
		free(fresh->cert);
		config_forget(fresh->key);
		fresh->cert = xstrdup(old->cert);
		fresh->key = xstrdup(old->key);
	}
}

static bool same(const struct config *a, const struct config *b)
{
	return str_eq(a->server, b->server) && str_eq(a->server_name, b->server_name) &&
	       str_eq(a->proxy, b->proxy) && str_eq(a->ns, b->ns) && a->insecure == b->insecure &&
	       str_eq(a->ca, b->ca) && str_eq(a->cert, b->cert) && str_eq(a->key, b->key) &&
	       str_eq(a->token, b->token) && str_eq(a->user, b->user) &&
	       str_eq(a->password, b->password) &&
	       config_strings_eq(a->as_headers, b->as_headers) &&
	       !a->source->exec == !b->source->exec &&
	       (!a->source->exec || config_exec_same(a->source->exec, b->source->exec));
}

int config_refresh(struct config *c, struct err *err)
{
	struct config fresh;
	bool changed;

	if (c->source->once) {
		return 0;
	}
	if (config_load(&c->source->env, &fresh, err) < 0) {
		return -1;
	}
	keep_exec(&fresh, c);
	changed = !same(&fresh, c);
	if (changed) {
		struct config old = *c;

		fresh.generation = old.generation + 1;
		*c = fresh;
		fresh = old;
	}
	config_finish(&fresh);
	return changed;
}
