/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/config_source.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"

void config_strings_add(char ***list, char *s)
{
	size_t n = 0;

	while (*list && (*list)[n]) {
		n++;
	}
	*list = xrealloc(*list, (n + 2) * sizeof(**list));
	(*list)[n] = s;
	(*list)[n + 1] = NULL;
}

char **config_strings_free(char **list)
{
	for (char **s = list; s && *s; s++) {
		free(*s);
	}
	free(list);
	return NULL;
}

bool config_strings_eq(char *const *a, char *const *b)
{
	if (!a || !b) {
		return (!a || !*a) && (!b || !*b);
	}
	for (; *a && *b; a++, b++) {
		if (!str_eq(*a, *b)) {
			return false;
		}
	}
	return !*a && !*b;
}

static char *resolve(const struct config_file *f, const char *path)
{
	return *path == '/' ? xstrdup(path) : xprintf("%s/%s", f->dir, path);
}

/* "FILE: LABEL: FIELD", the place of a value that lies in the kubeconfig itself. */
static char *place(const struct config_node *n, const char *field)
{
	return xprintf("%s: %s: %s", n->file->path, n->label, field);
}

static int read_named(const struct config_node *n, const char *field, const char *path, char **ret,
		      char **ret_from, struct err *err)
{
	auto_free char *file = resolve(n->file, path);
	char *text;

	if (file_read(file, CONFIG_FILE_MAX, 0, &text, NULL, err) < 0) {
		return err_wrap(err, "%s: %s: %s; give an existing file or embed it", n->file->path,
				n->label, field);
	}
	*ret = text;
	*ret_from = take(file);
	return 0;
}

int config_read_pem(const struct config_node *n, const char *field, char **ret, char **ret_from,
		    struct err *err)
{
	auto_free char *data_field = xprintf("%s-data", field);
	const char *data, *path;

	*ret = NULL;
	if (config_node_text(n, data_field, &data, err) < 0 ||
	    config_node_text(n, field, &path, err) < 0) {
		return -1;
	}
	if (data) { /* as kubectl: embedded data is preferred to the file */
		auto_free char *from = place(n, data_field);

		if (config_base64(data, CONFIG_FILE_MAX, ret, from, err) < 0) {
			return -1;
		}
		*ret_from = take(from);
		return 0;
	}
	return path ? read_named(n, field, path, ret, ret_from, err) : 0;
}

static void trim(char *s)
{
	size_t n = strlen(s), start = strspn(s, " \t\r\n");

	while (n > start && strchr(" \t\r\n", s[n - 1])) {
		n--;
	}
	memmove(s, s + start, n - start);
	s[n - start] = '\0';
}

static int read_token(const struct config_node *user, struct config *c, struct err *err)
{
	auto_free char *from = NULL, *text = NULL;
	const char *token, *path;

	if (config_node_text(user, "token", &token, err) < 0 ||
	    config_node_text(user, "tokenFile", &path, err) < 0) {
		return -1;
	}
	if (path) { /* client-go: the file's content wins over `token`, which serves while the file
		       cannot be read */
		struct err file_err;

		if (read_named(user, "tokenFile", path, &text, &from, &file_err) < 0 && !token) {
			if (err) {
				*err = file_err;
			}
			return -1;
		}
	}
	if (!text && token) {
		text = xstrdup(token);
		from = place(user, "token");
	}
	if (!text) {
		return 0;
	}
	trim(text);
	if (config_check_token(text, from, err) < 0) {
		return -1;
	}
	c->token = take(text);
	free(c->auth_from);
	c->auth_from = take(from);
	return 0;
}

static int read_certificate(const struct config_node *user, struct config *c, struct err *err)
{
	auto_free char *cert_from = NULL, *key_from = NULL;

	if (config_read_pem(user, "client-certificate", &c->cert, &cert_from, err) < 0 ||
	    config_read_pem(user, "client-key", &c->key, &key_from, err) < 0) {
		return -1;
	}
	if (!c->cert != !c->key) {
		return config_node_bad(user, c->cert ? "client-key" : "client-certificate", err,
				       "is missing beside %s; give both or neither",
				       c->cert ? "client-certificate" : "client-key");
	}
	if (!c->cert) {
		return 0;
	}
	if (config_check_pair(c->cert, c->key, cert_from, key_from, err) < 0) {
		return -1;
	}
	free(c->auth_from);
	c->auth_from = take(cert_from);
	return 0;
}

static int read_password(const struct config_node *user, struct config *c, struct err *err)
{
	const char *name, *password;

	if (config_node_text(user, "username", &name, err) < 0 ||
	    config_node_text(user, "password", &password, err) < 0) {
		return -1;
	}
	if (!name && !password) {
		return 0;
	}
	if (!name || strchr(name, ':')) {
		return config_node_bad(
			user, "username", err,
			name ? "holds a colon, which basic authentication cannot carry; use a token"
			     : "is missing beside password; give both or neither");
	}
	if (c->token) {
		return config_node_bad(user, "username", err,
				       "stands beside a token; keep one way to authenticate");
	}
	c->user = xstrdup(name);
	c->password = xstrdup(password ? password : "");
	free(c->auth_from);
	c->auth_from = place(user, "username");
	return 0;
}

/* Impersonation */

static bool header_value(const char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s < ' ' || *s == 0x7f) {
			return false;
		}
	}
	return true;
}

static int add_header(const struct config_node *user, const char *field, const char *name,
		      const char *value, struct config *c, struct err *err)
{
	if (str_empty(value) || !header_value(value)) {
		return config_node_bad(user, field, err,
				       "is empty or holds line ends; give names on one line");
	}
	config_strings_add(&c->as_headers, xprintf("%s: %s", name, value));
	return 0;
}

static int add_headers(const struct config_node *user, const struct config_node *list,
		       const char *field, const char *name, struct config *c, struct err *err)
{
	for (size_t i = 0; i < config_node_length(list); i++) {
		struct config_node item = config_node_item(list, i);

		if (add_header(user, field, name, config_node_scalar(&item), c, err) < 0) {
			return -1;
		}
	}
	return 0;
}

/* client-go's headerKeyEscape: what may not stand in a header's name is written as in a URL. */
static char *extra_header(const char *key)
{
	auto_buf struct buf b;

	buf_init(&b, 4 * KiB);
	buf_str(&b, "Impersonate-Extra-");
	for (; *key; key++) {
		bool legal = (*key >= 'a' && *key <= 'z') || (*key >= 'A' && *key <= 'Z') ||
			     (*key >= '0' && *key <= '9') || strchr("!#$&'*+-.^_`|~", *key);

		buf_printf(&b, legal ? "%c" : "%%%02X", (unsigned char)*key);
	}
	return take(b.bytes);
}

static int read_extra(const struct config_node *user, struct config *c, struct err *err)
{
	struct config_node extra;

	if (config_node_map(user, "as-user-extra", &extra, err) < 0) {
		return -1;
	}
	for (size_t i = 0; i < config_node_length(&extra); i++) {
		auto_free char *name = NULL;
		struct config_node values;
		const char *key;

		if (config_node_key(&extra, i, &key, &values, err) < 0) {
			return -1;
		}
		if (values.node->type != YAML_SEQUENCE_NODE || !*key || strlen(key) > KiB) {
			return config_node_bad(&values, "as-user-extra", err,
					       "must map each key to a list of strings");
		}
		name = extra_header(key);
		if (add_headers(user, &values, "as-user-extra", name, c, err) < 0) {
			return -1;
		}
	}
	return 0;
}

static int read_impersonation(const struct config_node *user, struct config *c, struct err *err)
{
	struct config_node groups;
	const char *as, *uid;

	if (config_node_text(user, "as", &as, err) < 0 ||
	    config_node_text(user, "as-uid", &uid, err) < 0 ||
	    config_node_list(user, "as-groups", &groups, err) < 0) {
		return -1;
	}
	if ((as && add_header(user, "as", "Impersonate-User", as, c, err) < 0) ||
	    (uid && add_header(user, "as-uid", "Impersonate-Uid", uid, c, err) < 0) ||
	    add_headers(user, &groups, "as-groups", "Impersonate-Group", c, err) < 0 ||
	    read_extra(user, c, err) < 0) {
		return -1;
	}
	if (!as && c->as_headers) {
		return config_node_bad(
			user, "as", err,
			"is missing beside the other as- fields; name the user to act as");
	}
	return 0;
}

static int refuse_auth_provider(const struct config_node *user, struct err *err)
{
	struct config_node provider;

	if (config_node_map(user, "auth-provider", &provider, err) < 0) {
		return -1;
	}
	return provider.node
		       ? config_node_bad(
				 user, "auth-provider", err,
				 "left Kubernetes with 1.26; use an exec plugin (users[].user.exec)")
		       : 0;
}

int config_read_user(const struct config_node *user, struct config *c, struct err *err)
{
	struct config_node exec;

	if (refuse_auth_provider(user, err) < 0 || read_token(user, c, err) < 0 ||
	    read_certificate(user, c, err) < 0 || read_password(user, c, err) < 0 ||
	    read_impersonation(user, c, err) < 0 || config_node_map(user, "exec", &exec, err) < 0) {
		return -1;
	}
	if (!exec.node || c->token ||
	    c->user) { /* client-go: a token or password of the file's own goes before the plugin */
		return 0;
	}
	if (config_exec_read(&exec, &c->source->exec, err) < 0) {
		return -1;
	}
	free(c->auth_from);
	c->auth_from = xprintf("%s: %s: exec plugin %s", user->file->path, user->label,
			       c->source->exec->argv[0]);
	return 0;
}
