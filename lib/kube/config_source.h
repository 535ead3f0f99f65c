/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_source.h: what config*.c share: the exec plugin behind a config, and checks of
 * certificates. Private to them.
 */
#pragma once

#include "kube/config.h"
#include "kube/config_tree.h"

#define CONFIG_FILE_MAX (4 * MiB)

enum config_ask { CONFIG_ASK_NEVER, CONFIG_ASK_IF_AVAILABLE, CONFIG_ASK_ALWAYS };

struct config_exec {
	char *version; /* client.authentication.k8s.io/v1 or v1beta1 */
	char **argv;
	char **env; /* "NAME=value" */
	char *hint;
	char *cluster; /* spec.cluster as JSON, or NULL */
	enum config_ask ask;
	bool wants_cluster; /* provideClusterInfo */
	bool have, stale, gave_cert;
	int64_t expires_ms; /* wall clock; INT64_MAX: never */
	char **environ;	    /* built for the next start */
};

struct config_source {
	struct config_env env; /* strings of our own */
	bool once;	       /* the kubeconfig came from a pipe: it cannot be read again */
	struct config_exec *exec;
};

/* Strings of a NULL-terminated list. */
void config_strings_add(char ***list, char *s); /* takes s */
char **config_strings_free(char **list);	/* NULL */
bool config_strings_eq(char *const *a, char *const *b);

/* config_pem.c: all return -1 with a sentence that begins with `from`. Texts hold whole PEM blocks,
 * nothing half written. */
int config_check_ca(const char *pem, const char *from, struct err *err);
int config_check_pair(const char *cert, const char *key, const char *cert_from,
		      const char *key_from, struct err *err);
int config_check_token(const char *token, const char *from, struct err *err);
/* Decodes standard base64, white space allowed. */
int config_base64(const char *s, size_t max, char **ret, const char *from, struct err *err);
/* Overwrites before freeing; NULL. */
char *config_forget(char *secret);

/* config_user.c */
int config_read_user(const struct config_node *user, struct config *c, struct err *err);
/* `field`-data in the node, or the file that `field` names; NULL when neither is there. from: for
 * sentences. */
int config_read_pem(const struct config_node *n, const char *field, char **ret, char **ret_from,
		    struct err *err);

/* config_exec.c */
int config_exec_read(const struct config_node *exec, struct config_exec **ret, struct err *err);
int config_exec_set_cluster(struct config_exec *x, const struct config_node *cluster,
			    const struct config *c, struct err *err);
bool config_exec_same(const struct config_exec *a, const struct config_exec *b);
struct config_exec *config_exec_destroy(struct config_exec *x); /* NULL */
