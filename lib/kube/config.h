/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.h: where the API server is and how we prove who we are: kubeconfig in full, or the service
 * account of the pod.
 *
 * kubeconfig: KUBECONFIG lists merged as kubectl does (first file wins per entry), relative paths
 * against the file that holds them, contexts, certificate-authority(-data),
 * insecure-skip-tls-verify, tls-server-name, proxy-url, client-certificate(-data),
 * client-key(-data), token, tokenFile, username/password, as/as-groups/as-uid/as-user-extra, exec
 * plugins (v1, v1beta1). What is missing or wrong is one sentence that names file, field and
 * remedy. Files named in it, and itself, are looked at again (config_refresh) every minute and
 * after a 401; half-written or empty ones leave the old value in force. Searched in this order:
 * env.kubeconfig, the pod's service account, ~/.kube/config.
 */
#pragma once

#include "base/err.h"

struct config {
	char *server; /* https://host:port[/prefix] without trailing slash (http:// for `kubectl
			 proxy`) */
	char *server_name; /* tls-server-name or NULL */
	char *proxy;	   /* or NULL */
	char *ns;	   /* namespace of the context or of the pod, or NULL */
	bool insecure;
	char *ca;		   /* PEM, or NULL: the system's */
	char *cert, *key;	   /* PEM, or NULL */
	char *token;		   /* or NULL */
	char *user, *password;	   /* or NULL */
	char **as_headers;	   /* "Impersonate-User: x", ...; NULL-terminated or NULL */
	char *ca_from, *auth_from; /* for sentences: which file and field they came from; never NULL
				      after config_load */
	struct config_source *source; /* files and exec plugin behind the above */
	unsigned
		generation; /* grows with every change that config_refresh or an exec plugin made */
};

/* What the environment gives, as arguments: tests need no setenv. */
struct config_env {
	const char *kubeconfig;			 /* --kubeconfig or $KUBECONFIG (a list), or NULL */
	const char *home;			 /* for ~/.kube/config, or NULL */
	const char *context;			 /* --context, or NULL */
	const char *service_host, *service_port; /* KUBERNETES_SERVICE_HOST/PORT, or NULL */
	const char *secrets_dir;		 /* NULL: CONFIG_SECRETS_DIR */
	bool terminal; /* standard input is one: an exec plugin may ask there */
};
#define CONFIG_SECRETS_DIR "/var/run/secrets/kubernetes.io/serviceaccount"

int config_load(const struct config_env *env, struct config *ret, struct err *err);
/* Reads everything again. 1: something changed, 0: no, -1: unreadable now (old values stay). */
int config_refresh(struct config *c, struct err *err);
void config_finish(struct config *c);

/*
 * Exec plugins run as a child with a pipe: config_exec_wanted says that one must run now (no
 * credential yet, expired, or after a 401), the rim (http.c) starts it through base/process.h and
 * gives the output here. The plugin gets our standard input if config_exec_stdin.
 */
bool config_exec_wanted(const struct config *c, int64_t wall_ms);
char *const *config_exec_argv(const struct config *c);
char *const *config_exec_environ(
	const struct config *c); /* includes KUBERNETES_EXEC_INFO; lent until the next call */
bool config_exec_stdin(const struct config *c);
bool config_exec_blind(
	const struct config *c); /* it must ask (interactiveMode: Always), and cannot */
const char *config_exec_hint(const struct config *c); /* installHint, or NULL */
int config_exec_result(struct config *c, const char *json, size_t n, int64_t wall_ms,
		       struct err *err);
void config_exec_expire(struct config *c); /* a 401 came */
