/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_test.h: a client and its server for tests of http.c: begin() makes both, wait_for() turns
 * the loop until something holds.
 */
#pragma once

#include <dirent.h>
#include <ftw.h>
#include <sys/stat.h>
#include <time.h>

#include "base/test.h"
#include "kube/http_private.h"
#include "kube/server_test.h"

/* What a caller saw of one request. */
struct seen {
	struct http_request *request; /* NULL once it is done */
	int times;		      /* how often done was called */
	int status, told;	      /* the answer's, and the one told before; 0: none */
	int64_t retry_after, took_ms;
	bool unknown;
	struct buf body; /* collected or streamed */
	char error[ERR_MAX];
	bool (*on_bytes)(struct seen *s); /* false: no more */
	void (*on_status)(struct seen *s), (*on_done)(struct seen *s);
	void *arg;
};

static struct loop *loop;
static struct srv *srv;
static struct http *http;
static struct config config;
static struct http_settings settings;
static struct pki ca, server_cert;
__attribute__((used)) static struct pki client_cert;
static char dir[40], notices[4096];
static struct seen seen[600];
static int n_seen;

attr_unused static void expect_nothing(struct srv_request *r attr_unused)
{
}

/* /ok and everything else: 200. */
attr_unused static void answer_ok(struct srv_request *r)
{
	srv_reply(r, 200, NULL, "{\"ok\":true}");
}

static int remove_one_(const char *path, const struct stat *st attr_unused, int kind attr_unused,
		       struct FTW *ftw attr_unused)
{
	return remove(path);
}

/* Ends what the last test left, also after a failure in its middle. */
static void end(void)
{
	http = http_destroy(http);
	srv = srv_destroy(srv);
	loop = loop_destroy(loop);
	config_finish(&config);
	for (int i = 0; i < n_seen; i++) {
		buf_finish(&seen[i].body);
	}
	n_seen = 0;
	memset(seen, 0, sizeof(seen));
	if (*dir) {
		nftw(dir, remove_one_, 8, FTW_DEPTH | FTW_PHYS);
	}
	*dir = '\0';
}

static char *in_dir(const char *name)
{
	return xprintf("%s/%s", dir, name);
}

static void put(const char *name, const char *text)
{
	auto_free char *path = in_dir(name), *fresh = xprintf("%s.new", path);
	FILE *f = fopen(fresh, "we");

	ok(f);
	fputs(text, f);
	fclose(f);
	is_int(rename(fresh, path), 0);
}

static void on_notice(void *ctx attr_unused, bool bad, const char *sentence)
{
	size_t n = strlen(notices);

	snprintf(notices + n, sizeof(notices) - n, "%s%s\n", bad ? "bad: " : "", sentence);
}

static void make_server(void (*on_request)(struct srv_request *))
{
	if (!ca.cert) {
		ca = pki_make("test CA", NULL, NULL, 86400);
		server_cert = pki_make("server", &ca, "DNS:kubernetes,IP:127.0.0.1", 86400);
		client_cert = pki_make("client", &ca, NULL, 86400);
		atexit(end);
	}
	end();
	snprintf(dir, sizeof(dir), "/tmp/http_test.XXXXXX");
	ok(mkdtemp(dir));
	loop = loop_create();
	srv = srv_create(loop, &server_cert, on_request);
	settings = (struct http_settings){.user_agent = "vmgpu/test", .notice = on_notice};
	notices[0] = '\0';
	put("ca.crt", ca.cert);
	put("token", "one");
}

/* cluster and user: more fields of the kubeconfig. */
static void make_client(const char *cluster, const char *user)
{
	auto_free char *path = in_dir("kubeconfig");
	auto_free char *text = xprintf(
		"current-context: x\ncontexts: [{name: x, context: {cluster: k, user: u}}]\n"
		"clusters: [{name: k, cluster: {server: \"https://127.0.0.1:%d\"%s}}]\nusers: [{name: u, user: {%s}}]\n",
		srv->port, cluster, user);
	struct config_env env = {.kubeconfig = path};
	struct err err = {""};

	config_finish(&config);
	put("kubeconfig", text);
	if (config_load(&env, &config, &err) < 0) {
		is_str(err.text, "no error");
	}
	http = http_create(loop, &config, &settings, &err);
	ok(http);
}

static void begin(void (*on_request)(struct srv_request *))
{
	make_server(on_request);
	make_client(", certificate-authority: ca.crt", "tokenFile: token");
}

/* Requests */

static void saw_status_(void *ctx, int status, int64_t retry_after attr_unused)
{
	struct seen *s = ctx;

	s->told = s->told ? -1 : status; /* -1: told twice */
	if (s->on_status) {
		s->on_status(s);
	}
}

static int saw_bytes_(void *ctx, const char *bytes, size_t n)
{
	struct seen *s = ctx;

	buf_add(&s->body, bytes, n);
	return s->on_bytes && !s->on_bytes(s) ? -1 : 0;
}

static void saw_done_(void *ctx, const struct http_answer *a)
{
	struct seen *s = ctx;

	s->times++;
	s->request = NULL;
	s->status = a->status;
	s->retry_after = a->retry_after;
	s->took_ms = a->took_ms;
	s->unknown = a->unknown;
	buf_add(&s->body, a->body, a->length);
	snprintf(s->error, sizeof(s->error), "%s", a->error ? a->error : "");
	if (s->on_done) {
		s->on_done(s);
	}
}

/* stream: bytes and status as they come. */
static struct seen *start(const struct http_call *call, bool stream)
{
	struct http_call c = *call;
	struct seen *s = &seen[n_seen++];

	buf_init(&s->body, 128 * MiB);
	c.method = c.method ? c.method : "GET";
	c.done = saw_done_;
	c.ctx = s;
	if (stream) {
		c.bytes = saw_bytes_;
		c.status = saw_status_;
	} else {
		c.timeout_ms = c.timeout_ms ? c.timeout_ms : 20000;
	}
	s->request = http_start(http, &c);
	return s;
}

static struct seen *get(const char *path)
{
	return start(&(struct http_call){.path = path}, false);
}

attr_unused static struct seen *stream(const char *path)
{
	return start(&(struct http_call){.path = path}, true);
}

attr_unused static struct seen *send_body(const char *method, const char *path, const char *type,
					  const char *body)
{
	return start(&(struct http_call){.method = method,
					 .path = path,
					 .content_type = type,
					 .body = body,
					 .length = strlen(body)},
		     false);
}

#define wait_for(cond)                                                                             \
	do {                                                                                       \
		int64_t until_ = loop_now(loop) + 15000;                                           \
		while (!(cond) && loop_now(loop) < until_) {                                       \
			loop_turn(loop, 20);                                                       \
		}                                                                                  \
		if (!(cond)) {                                                                     \
			test_fail_(__FILE__, __LINE__, "waited in vain for " #cond);               \
		}                                                                                  \
	} while (0)

/* Waits for a connection on a plain listening socket. */
attr_unused static int accept_on(int fd)
{
	int peer = -1;

	wait_for(peer >= 0 || (peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0);
	return peer;
}

attr_unused static void turn_for(int64_t ms)
{
	int64_t until = loop_now(loop) + ms;

	while (loop_now(loop) < until) {
		loop_turn(loop, 5);
	}
}

/* The whole answer to one GET. */
attr_unused static struct seen *get_done(const char *path)
{
	struct seen *s = get(path);

	wait_for(s->times);
	return s;
}

attr_unused static size_t open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	while (readdir(d)) {
		n++;
	}
	closedir(d);
	return n;
}
