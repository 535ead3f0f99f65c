/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/beat.h"

#include <fcntl.h>

#include "base/log.h"
#include "kube/http_test.h"

static int post_status, posts, renewals;
static char sent[4096]; /* the last body */
static const char *uid;

static double half(void *ctx attr_unused)
{
	return 0.5;
}

/* No Lease yet; a POST is answered with post_status, and with what was sent where that is good. */
static void serve(struct srv_request *r)
{
	bool post = str_eq(r->method, "POST");

	posts += post;
	renewals += str_eq(r->method, "PUT");
	if (r->body.len) {
		snprintf(sent, sizeof(sent), "%s", buf_text(&r->body));
	}
	if (str_eq(r->method, "PUT")) {
		srv_reply(r, 200, NULL, buf_text(&r->body));
		return;
	}
	if (post && post_status == 201) {
		srv_reply(r, 201, NULL, buf_text(&r->body));
	} else {
		srv_reply(r, post ? post_status : 404, NULL, "{\"message\":\"no\"}");
	}
}

static const char *node_uid(void *ctx attr_unused)
{
	return uid;
}

/* What is logged until that many writes were answered. */
static void beats(int status, int writes, int64_t period_ms, char *said, size_t size)
{
	int out[2];
	struct beat *b;
	ssize_t n;

	post_status = status;
	posts = renewals = 0;
	is_int(pipe2(out, O_CLOEXEC | O_NONBLOCK), 0);
	log_setup(LOG_LEVEL_INFO, out[1], NULL);
	begin(serve);
	b = beat_create(loop, http,
			&(struct beat_settings){.ns = "vmgpu",
						.node = "n1",
						.period_ms = period_ms,
						.random = half,
						.node_uid = node_uid});
	wait_for(posts + renewals >= writes);
	turn_for(30);
	beat_destroy(b);
	end();
	log_setup(LOG_LEVEL_INFO, STDERR_FILENO, NULL);
	n = read(out[0], said, size - 1);
	said[MAX(n, (ssize_t)0)] = 0;
	close(out[0]);
	close(out[1]);
}

static void heard(void)
{
	char said[8192];

	beats(201, 1, 5000, said, sizeof(said));
	has(said, "\"msg\":\"beating\",\"lease\":\"node-n1\",\"namespace\":\"vmgpu\"");
	ok(!strstr(said, "not heard"));
}

static void no_namespace(void)
{
	char said[8192];

	beats(404, 3, 50, said, sizeof(said));
	has(said, "\"msg\":\"beat not heard: no such namespace, is --lease-namespace right?\"");
	has(said, "\"namespace\":\"vmgpu\",\"status\":404");
	ok(!strstr(strstr(said, "not heard") + 1, "not heard"));
}

static void forbidden(void)
{
	char said[8192];

	beats(403, 3, 50, said, sizeof(said));
	has(said, "\"msg\":\"beat not heard\"");
	has(said, "\"status\":403");
	ok(!strstr(strstr(said, "not heard") + 1, "not heard"));
}

/* By its label it is watched among all other Leases, and with its Node it goes. */
static void marked(void)
{
	char said[8192];

	uid = NULL;
	beats(201, 1, 5000, said, sizeof(said));
	has(sent, "\"labels\":{\"vmgpu.io/beat\":\"true\"}");
	ok(!strstr(sent, "ownerReferences"));
	uid = "u1";
	beats(201, 2, 50, said, sizeof(said));
	has(sent, "\"labels\":{\"vmgpu.io/beat\":\"true\"}");
	has(sent, "\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"name\":\"n1\","
		  "\"uid\":\"u1\"}]");
	uid = NULL;
}

TESTS({"a beat that is heard is said", heard},
      {"a namespace that is not there is said once, with the flag", no_namespace},
      {"a beat that is refused from the start is said once", forbidden},
      {"the Lease has our label, and its Node as owner", marked}, )
