/* SPDX-License-Identifier: Apache-2.0 */
/* podres_test.c: the kubelet's pod-resources socket, played on the same loop. */
#include "node-daemon/podres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/test.h"
#include "node-daemon/grpc_io.h"

static struct loop *loop;
static struct podres *p;
static char folder_name[40];
static int folder;
static struct err err;
static char said[2048];

/* --- the kubelet --------------------------------------------------------------------------- */

static enum { TELLS, WAITS, REFUSES, RUBBISH, LEAVES } manner;
static struct grpc_call *open_call;
static struct grpc_listener *kubelet, *leaving;
static int asked;

/* pod a of n: container c has d1, d2 of r; pod b has nothing. */
static const char list[] = "\x0a\x19"
			   "\x0a\x01"
			   "a\x12\x01n\x1a\x11\x0a\x01"
			   "c\x12\x0c\x0a\x01r\x12\x02"
			   "d1\x12\x03"
			   "d22"
			   "\x0a\x06\x0a\x01"
			   "b\x12\x01n";

static void on_list(void *ctx attr_unused, struct grpc_call *c, const void *m attr_unused, size_t n)
{
	is_int(n, 0);
	asked++;
	switch (manner) {
	case TELLS:
		grpc_reply(c, list, sizeof(list) - 1);
		break;
	case WAITS:
		open_call = c;
		break;
	case REFUSES:
		grpc_end(c, GRPC_RESOURCE_EXHAUSTED, "rejected by rate limit");
		break;
	case RUBBISH:
		grpc_reply(c, "\xff\xff", 2);
		break;
	default:
		leaving = take(kubelet);
	}
}

static void on_gone(void *ctx attr_unused, struct grpc_call *c attr_unused)
{
	open_call = NULL;
}

static const struct grpc_method methods[] = {{DPAPI_PODS, on_list, on_gone}, {0}};

static void kubelet_starts(void)
{
	const struct grpc_served s = {.methods = methods, .max_message = KiB};

	kubelet = grpc_listen(loop, folder, PODRES_SOCKET, &s, &err);
	ok(kubelet);
}

/* --- us ------------------------------------------------------------------------------------ */

static bool again;
static const char *own;

static void on_pods(void *ctx, const struct dpapi_holds *holds, const char *why)
{
	size_t n = strlen(said);

	ok(ctx == said);
	if (!holds) {
		snprintf(said + n, sizeof(said) - n, "%s\n", why);
		return;
	}
	list_each(h, holds) {
		n = strlen(said);
		snprintf(said + n, sizeof(said) - n, "%s/%s %s %s %s\n", h->ns, h->pod,
			 h->container, h->resource, h->id);
	}
	if (again) {
		again = false;
		ok(podres_ask(p, on_pods, said));
	}
}

static void begin(void)
{
	said[0] = err.text[0] = 0;
	asked = 0;
	snprintf(folder_name, sizeof(folder_name), "/tmp/podres-XXXXXX");
	ok(mkdtemp(folder_name));
	folder = open(folder_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	loop = loop_create();
	p = podres_create(loop, folder_name, own);
}

static void end(void)
{
	p = podres_destroy(p);
	for (int i = 0; i < 3; i++) {
		loop_turn(loop, 5);
	}
	ok(!open_call);
	kubelet = kubelet ? grpc_unlisten(kubelet) : NULL;
	loop = loop_destroy(loop);
	close(folder);
	rmdir(folder_name);
}

/* What is said then, folder names aside. */
static const char *ask(void)
{
	static char text[2048];
	int64_t until = loop_now(loop) + 20000;
	const char *at;

	said[0] = 0;
	ok(podres_ask(p, on_pods, said));
	is_str(said, ""); /* never from inside */
	while (!*said) {
		ok(loop_now(loop) < until);
		loop_turn(loop, 100);
		leaving = leaving ? grpc_unlisten(leaving) : NULL;
	}
	at = strstr(said, folder_name);
	snprintf(text, sizeof(text), "%s", at ? at + strlen(folder_name) : said);
	return text;
}

static void told(void)
{
	begin();
	is_int(podres_age_ms(p), -1);
	kubelet_starts();
	ok(podres_age_ms(p) >= 0 && podres_age_ms(p) < 10000);
	is_str(ask(), "n/a c r d1\nn/a c r d22\n");
	is_str(ask(), "n/a c r d1\nn/a c r d22\n");
	again = true;
	ask();
	while (asked < 4) {
		loop_turn(loop, 100);
	}
	end();
}

#define HEAD "/kubelet.sock: the kubelet does not tell which pod has which device: "
#define TAIL "; does it run, and is its folder mounted here?\n"

static void failures(void)
{
	begin();
	is_str(ask(), HEAD "connecting to kubelet.sock: No such file or directory" TAIL);
	kubelet_starts();
	manner = REFUSES;
	is_str(ask(), HEAD "RESOURCE_EXHAUSTED: rejected by rate limit" TAIL);
	manner = RUBBISH;
	has(ask(), HEAD);
	manner = LEAVES;
	has(ask(), HEAD "UNAVAILABLE: ");
	manner = TELLS;
	kubelet_starts(); /* another one, at once */
	is_str(ask(), "n/a c r d1\nn/a c r d22\n");
	end();
	begin();
	rmdir(folder_name);
	is_str(ask(), HEAD "No such file or directory" TAIL);
	ok(podres_ask(p, on_pods, said));
	end(); /* with a failure that was not told yet */
}

/* A kubelet that has just started may know no pods yet, not even ours. */
static void lists_without_us(void)
{
	own = "n/b";
	begin();
	kubelet_starts();
	manner = TELLS;
	is_str(ask(), "n/a c r d1\nn/a c r d22\n");
	end();
	own = "n/c";
	begin();
	kubelet_starts();
	is_str(ask(),
	       HEAD "its list lacks pod n/c, which this is, so it does not know its pods yet; is "
		    "--pod right?\n");
	end();
	own = NULL;
}

/* Six seconds at most. */
static void silence(void)
{
	int64_t from;

	begin();
	kubelet_starts();
	manner = WAITS;
	from = loop_now(loop);
	has(ask(), HEAD "DEADLINE_EXCEEDED");
	ok(loop_now(loop) - from >= PODRES_TIMEOUT_MS);
	ok(podres_ask(p, on_pods, said));
	ok(!podres_ask(p, on_pods, said)); /* one at a time */
	while (!open_call) {
		loop_turn(loop, 100);
	}
	manner = TELLS;
	end(); /* with a question that is open */
}

TESTS({"who has what is told, again and again", told},
      {"what fails has a sentence, and the next question is a new one", failures},
      {"a list that lacks our own pod is none", lists_without_us},
      {"a kubelet that says nothing has its time", silence}, )
