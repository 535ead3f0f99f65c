/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/http_private.h"

#include <stdio.h>
#include <string.h>

static void certificate_error(const struct http_request *r, const char *why, char *text,
			      size_t size)
{
	const struct config *c = r->http->config;

	if (strstr(why, "subject name")) {
		snprintf(
			text, size,
			"the certificate of %s is for another name; set tls-server-name in the kubeconfig to one that it holds (%s)",
			c->server, why);
	} else if (strstr(why, "expired")) {
		snprintf(
			text, size,
			"the certificate of %s has expired; renew it, or set this machine's clock (%s)",
			c->server, why);
	} else {
		snprintf(
			text, size,
			"the certificate of %s is not signed by the CA in %s; give the CA of this cluster (%s)",
			c->server, c->ca_from, why);
	}
}

/* TLS 1.3: the server's verdict on our certificate arrives as an alert after the handshake. */
static bool refused_our_certificate(const char *why)
{
	static const char *const alerts[] = {"alert bad certificate", "alert unknown ca",
					     "alert certificate", "alert unsupported certificate"};

	for (size_t i = 0; i < ARRAY_LEN(alerts); i++) {
		if (strcasestr(why, alerts[i])) {
			return true;
		}
	}
	return false;
}

/* http://USER:PASSWORD@HOST as HOST: who the user is, is not for the log. */
static const char *without_user(const char *url)
{
	const char *sep = strstr(url, "://"), *at = strrchr(sep ? sep : url, '@');

	return at ? at + 1 : url;
}

static void connection_error(const struct http_request *r, CURLcode code, const char *why,
			     char *text, size_t size)
{
	const struct config *c = r->http->config;

	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
		snprintf(text, size,
			 "the host of %s is not known; mend the server's name or the DNS (%s)",
			 c->server, why);
		return;
	case CURLE_COULDNT_RESOLVE_PROXY:
		snprintf(
			text, size,
			"the host of the proxy %s is not known; mend proxy-url or HTTPS_PROXY (%s)",
			c->proxy ? without_user(c->proxy) : "", why);
		return;
	case CURLE_COULDNT_CONNECT:
		snprintf(
			text, size,
			"%s does not take connections; is the API server up, and its address right? (%s)",
			c->server, why);
		return;
	case CURLE_PEER_FAILED_VERIFICATION:
		certificate_error(r, why, text, size);
		return;
	case CURLE_SSL_CERTPROBLEM:
		snprintf(
			text, size,
			"the client certificate of %s cannot be used; give a valid pair of certificate and key (%s)",
			c->auth_from, why);
		return;
	case CURLE_SSL_CONNECT_ERROR:
		snprintf(text, size, "no TLS with %s; is it an HTTPS port? (%s)", c->server, why);
		return;
	default:
		snprintf(text, size, "the connection to %s broke: %s", c->server, why);
	}
}

void http_error(const struct http_request *r, CURLcode code, const char *why, char *text,
		size_t size)
{
	int n = snprintf(text, size, "%s %s: ", r->call.method, r->call.path);

	if (strcasestr(why, "proxy") && strchr(why, '@')) {
		why = "the proxy's URL cannot be used"; /* libcurl quotes it, password and all */
	}
	n = MIN(n, (int)size - 1);
	text += n, size -= (size_t)n;
	if (r->too_big) {
		snprintf(text, size, "the answer is larger than %zu KiB", r->body.max / KiB);
	} else if (r->refused) {
		snprintf(text, size, "ended by its reader");
	} else if (refused_our_certificate(why)) {
		snprintf(
			text, size,
			"the API server refuses the client certificate of %s; give one that its client CA has signed (%s)",
			r->http->config->auth_from, why);
	} else if (r->unknown) {
		snprintf(
			text, size,
			"the connection to %s broke before the answer: it may have been carried out (%s)",
			r->http->config->server, why);
	} else if (code == CURLE_OPERATION_TIMEDOUT && !r->sends) {
		snprintf(
			text, size,
			"no connection to %s within %d s; is its address right, and the way there open? (%s)",
			r->http->config->server, HTTP_CONNECT_MS / 1000, why);
	} else {
		connection_error(r, code, why, text, size);
	}
}
