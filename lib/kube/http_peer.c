/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/http_private.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/base64.h"
#include "kube/config_source.h"

/* A list of headers that shares its tail with the peer's. */
struct http_variant {
	struct http_variant *next;
	const char *accept, *content_type;
	struct curl_slist first, second;
};

static void add(struct curl_slist **list, char *header)
{
	struct curl_slist *l = curl_slist_append(*list, header);

	if (!l) {
		abort();
	}
	*list = l;
	config_forget(header);
}

/* Basic is written here and not left to libcurl, whose authentication may resend a request. */
static char *basic(const char *user, const char *password)
{
	auto_free char *pair = xprintf("%s:%s", user, password);
	auto_free char *encoded = base64_encode(pair);

	return xprintf("Authorization: Basic %s", encoded);
}

/*
 * tls-server-name is the name in the certificate (SNI and verification): it stands in the URL, and
 * connect-to leads to the server's address. The Host (:authority) stays the server's own, as
 * client-go sends it.
 */
static void set_server_name(struct http_peer *p, const struct config *c)
{
	char *scheme, *host, *port, *path;
	CURLU *u = curl_url();

	if (!u || curl_url_set(u, CURLUPART_URL, c->server, 0) ||
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) ||
	    curl_url_get(u, CURLUPART_HOST, &host, 0) ||
	    curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) ||
	    curl_url_get(u, CURLUPART_PATH, &path, 0)) {
		abort(); /* config.c has parsed it before */
	}
	p->base = xprintf("%s://%s:%s%s", scheme, c->server_name, port,
			  str_eq(path, "/") ? "" : path);
	add(&p->connect_to, xprintf("%s:%s:%s:%s", c->server_name, port, host, port));
	add(&p->headers, xprintf("Host: %s:%s", host, port));
	curl_free(scheme), curl_free(host), curl_free(port), curl_free(path);
	curl_url_cleanup(u);
}

/* Host and port, and the path that all others begin with, of https://HOST:PORT/PATH. */
static void split_base(struct http_peer *p)
{
	const char *sep = strstr(p->base, "://"), *host = sep ? sep + 3 : p->base;
	size_t n = strcspn(host, "/");

	p->authority = xstrndup(host, n);
	p->prefix = xstrdup(host + n);
	p->http1 = strncmp(p->base, "https:", 6) != 0;
}

/* The same headers for HTTP/2, which has Host as :authority and no Expect. */
static void make_fields(struct http_peer *p)
{
	for (const struct curl_slist *l = p->headers; l; l = l->next) {
		size_t n = strcspn(l->data, ":");
		struct http_field f = {xstrndup(l->data, n), NULL};
		const char *value = l->data + n + (l->data[n] == ':');

		value += strspn(value, " ");
		for (char *c = f.name; *c; c++) {
			*c = (char)tolower((unsigned char)*c);
		}
		if (str_eq(f.name, "host")) {
			free(p->authority);
			p->authority = xstrdup(value);
		}
		if (str_eq(f.name, "host") || str_eq(f.name, "expect")) {
			free(f.name);
			continue;
		}
		f.value = xstrdup(value);
		p->fields = xrealloc(p->fields, (p->n_fields + 1) * sizeof(*p->fields));
		p->fields[p->n_fields++] = f;
	}
}

static char *copy(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

/* libcurl asks for these by itself, six walks through the environment for every request: only where
 * one is set. HTTP_PROXY is none: a CGI program has it from whoever asks. */
static const char *environment_proxy(const struct http_peer *p)
{
	static const char *const names[][4] = {
		{"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"},
		{"http_proxy", "all_proxy", "ALL_PROXY"},
	};
	bool plain = strncasecmp(p->base, "https:", 6) != 0;

	for (size_t i = 0; i < ARRAY_LEN(names[0]) && names[plain][i]; i++) {
		const char *value = getenv(names[plain][i]);

		if (!str_empty(value)) {
			return value;
		}
	}
	return NULL;
}

struct http_peer *http_peer_create(const struct config *c, const struct http *h)
{
	struct http_peer *p = xcalloc(1, sizeof(*p));
	const char *proxy;

	*p = (struct http_peer){
		.refs = 1,
		.generation = c->generation,
		.ca = copy(c->ca),
		.cert = copy(c->cert),
		.key = copy(c->key),
		.proxy = copy(c->proxy),
		.insecure = c->insecure,
	};
	if (c->server_name) {
		set_server_name(p, c);
	} else {
		p->base = xstrdup(c->server);
	}
	add(&p->headers, xprintf("User-Agent: %s", h->user_agent));
	add(&p->headers, xstrdup("Expect:")); /* HTTP/1.1 would wait a second before a large body */
	if (c->token) {
		add(&p->headers, xprintf("Authorization: Bearer %s", c->token));
	} else if (c->user) {
		add(&p->headers, basic(c->user, c->password));
	}
	for (char **as = c->as_headers; as && *as; as++) {
		add(&p->headers, xstrdup(*as));
	}
	split_base(p);
	make_fields(p);
	proxy = p->proxy ? p->proxy : environment_proxy(p);
	p->https_proxy = proxy && strncasecmp(proxy, "https:", 6) == 0;
	return p;
}

struct http_peer *http_peer_ref(struct http_peer *p)
{
	p->refs++;
	return p;
}

struct http_peer *http_peer_unref(struct http_peer *p)
{
	if (!p || --p->refs) {
		return NULL;
	}
	while (p->variants) {
		struct http_variant *v = p->variants;

		p->variants = v->next;
		free(v->first.data), free(v->second.data);
		free(v);
	}
	for (struct curl_slist *l = p->headers; l; l = l->next) {
		memset(l->data, 0, strlen(l->data));
	}
	for (size_t i = 0; i < p->n_fields; i++) {
		free(p->fields[i].name);
		config_forget(p->fields[i].value);
	}
	free(p->fields), free(p->authority), free(p->prefix);
	curl_slist_free_all(p->headers);
	curl_slist_free_all(p->connect_to);
	free(p->base), free(p->ca), free(p->cert), free(p->proxy);
	config_forget(p->key);
	free(p);
	return NULL;
}

bool http_peer_same_way(const struct http_peer *a, const struct http_peer *b)
{
	return str_eq(a->base, b->base) && str_eq(a->ca, b->ca) && str_eq(a->cert, b->cert) &&
	       str_eq(a->key, b->key) && str_eq(a->proxy, b->proxy) && a->insecure == b->insecure &&
	       str_eq(a->connect_to ? a->connect_to->data : NULL,
		      b->connect_to ? b->connect_to->data : NULL);
}

struct curl_slist *http_peer_headers(struct http_peer *p, const char *accept,
				     const char *content_type)
{
	struct http_variant *v = p->variants;

	while (v && (!str_eq(v->accept, accept) || !str_eq(v->content_type, content_type))) {
		v = v->next;
	}
	if (!v) {
		v = xcalloc(1, sizeof(*v));
		*v = (struct http_variant){
			.next = p->variants, .accept = accept, .content_type = content_type};
		v->second = (struct curl_slist){
			xprintf("Content-Type: %s", content_type ? content_type : ""), p->headers};
		v->first = (struct curl_slist){
			xprintf("Accept: %s", accept ? accept : "application/json"),
			content_type ? &v->second : p->headers};
		p->variants = v;
	}
	return &v->first;
}

static void set_blob(CURL *easy, CURLoption option, const char *pem)
{
	struct curl_blob blob = {
		.data = (char *)pem, .len = pem ? strlen(pem) : 0, .flags = CURL_BLOB_NOCOPY};

	curl_easy_setopt(easy, option, pem ? &blob : NULL);
}

/* The blobs are lent to libcurl: a slot holds a reference on its peer. */
void http_peer_apply(const struct http_peer *p, CURL *easy)
{
	const curl_version_info_data *built = curl_version_info(CURLVERSION_NOW);

	/* With a CA of its own the system's must not be trusted beside it: no folder, no file. */
	curl_easy_setopt(easy, CURLOPT_CAPATH, p->ca ? NULL : built->capath);
	curl_easy_setopt(easy, CURLOPT_CAINFO, p->ca ? NULL : built->cainfo);
	set_blob(easy, CURLOPT_CAINFO_BLOB, p->ca);
	set_blob(easy, CURLOPT_SSLCERT_BLOB, p->cert);
	set_blob(easy, CURLOPT_SSLKEY_BLOB, p->key);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, p->insecure ? 0L : 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, p->insecure ? 0L : 2L);
	curl_easy_setopt(easy, CURLOPT_PROXY, p->proxy || environment_proxy(p) ? p->proxy : "");
	/* NO_PROXY is of the environment's proxies; the kubeconfig's is used for whatever it says. */
	curl_easy_setopt(easy, CURLOPT_NOPROXY, p->proxy ? "" : NULL);
	curl_easy_setopt(easy, CURLOPT_CONNECT_TO, p->connect_to);
}
