/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/lease_http.h"

#include <string.h>

#include "json/write.h"

const struct kube_kind kind_lease = {
	"coordination.k8s.io",	    "v1", "Lease", "leases", .namespaced = true, .builtin = true,
	.type = &lease_record_type,
};

struct http_request *lease_http_ask(struct http *h, const struct lease *l, const char *ns,
				    const char *name, enum lease_do what, const json_t *body,
				    int64_t now,
				    void (*done)(void *ctx, const struct http_answer *answer),
				    void *ctx)
{
	static const char *const methods[] = {
		[LEASE_GET] = "GET", [LEASE_CREATE] = "POST", [LEASE_UPDATE] = "PUT"};
	static const char *const verbs[] = {
		[LEASE_GET] = "get", [LEASE_CREATE] = "create", [LEASE_UPDATE] = "update"};
	attr_cleanup(buf_finish) struct buf path = {.max = 4 * KiB};
	auto_free char *text = body ? json_text(body, JSON_COMPACT) : NULL;

	kind_path(&kind_lease, "v1", ns, what == LEASE_CREATE ? NULL : name, NULL, &path);
	return http_start(h, &(struct http_call){
				     .method = methods[what],
				     .path = buf_text(&path),
				     .content_type = "application/json",
				     .body = text,
				     .length = text ? strlen(text) : 0,
				     .timeout_ms = lease_timeout(l, now),
				     .urgent = true,
				     .done = done,
				     .ctx = ctx,
				     .verb = verbs[what],
				     .resource = "leases",
			     });
}

bool lease_http_answer(struct lease *l, int64_t now, const struct http_answer *answer)
{
	bool good = answer->status >= 200 && answer->status < 300;
	json_t *body = good ? json_loadb(answer->body, answer->length, 0, NULL) : NULL;

	lease_answer(l, now, answer->sent_ms, answer->status, body);
	good = body;
	json_decref(body);
	return good;
}
