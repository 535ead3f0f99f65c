/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three times drive everything: `next`, when to make the next request; `observed`, when the record
 * last changed before our eyes; `renewed`, when the last write of ours that succeeded was sent.
 * `fresh` says whether `seen` (NULL: no Lease there) may be built upon: a failed write ends that,
 * and a GET comes first.
 */
#include "kube/lease.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"

#define JITTER 1.2 /* client-go's leaderelection.JitterFactor */

struct lease {
	char *ns, *name, *identity;
	struct lease_settings set;
	double (*random)(void *);
	void *ctx;

	json_t *seen;	   /* the Lease as last sent to us */
	char *record, *rv; /* its election fields as text; its resourceVersion */
	char *holder;
	int64_t transitions, duration_ms; /* of the record */
	int64_t observed, renewed, next;
	int64_t write_after;  /* after a failed write: not before this */
	int64_t others_until; /* until then another holder, whom we saw, may believe in its Lease */
	int64_t last_wall;
	unsigned failures; /* writes in a row */
	enum lease_do flying;
	bool flying_release, fresh, watched, leading, lost, releasing;
};

static const struct field spec_fields[] = {
	FIELD(struct lease_record, holder, "holderIdentity", TYPE_STR),
	FIELD(struct lease_record, acquired, "acquireTime", TYPE_STR),
	FIELD(struct lease_record, renewed, "renewTime", TYPE_STR),
	FIELD(struct lease_record, seconds, "leaseDurationSeconds", TYPE_INT),
	FIELD(struct lease_record, transitions, "leaseTransitions", TYPE_INT),
	{0},
};
static const struct type spec_type = {sizeof(struct lease_record), spec_fields, NULL};
static const struct field lease_fields[] = {OBJ_METADATA, FIELD_INLINE("spec", &spec_type), {0}};
const struct type lease_record_type = {sizeof(struct lease_record), lease_fields, obj_finish};

int lease_check(const struct lease_settings *s, struct err *err)
{
	const struct {
		int64_t shorter, longer;
		const char *says;
	} rules[] = {
		{s->deadline_ms, s->duration_ms,
		 "--renew-deadline must be shorter than --lease-duration"},
		{s->renew_ms, s->deadline_ms,
		 "--renew-period must be shorter than --renew-deadline"},
		/* a poll is late by a fifth (client-go's jitter) */
		{s->retry_ms * 6 / 5, s->deadline_ms,
		 "--retry-period must be shorter than 5/6 of --renew-deadline"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		if (rules[i].shorter >= rules[i].longer) {
			return err_set(err, "%s: they are %" PRId64 " and %" PRId64 " ms",
				       rules[i].says, rules[i].shorter, rules[i].longer);
		}
	}
	return 0;
}

struct lease *lease_create(const char *ns, const char *name, const char *identity,
			   const struct lease_settings *s, double (*random)(void *), void *ctx)
{
	struct lease *l = xcalloc(1, sizeof(*l));

	l->ns = xstrdup(ns);
	l->name = xstrdup(name);
	l->identity = xstrdup(identity);
	l->holder = xstrdup("");
	l->set = *s;
	l->random = random;
	l->ctx = ctx;
	l->next = l->write_after = l->others_until = l->renewed = INT64_MIN;
	return l;
}

struct lease *lease_destroy(struct lease *l)
{
	if (l) {
		json_decref(l->seen);
		free(l->ns);
		free(l->name);
		free(l->identity);
		free(l->holder);
		free(l->record);
		free(l->rv);
		free(l);
	}
	return NULL;
}

static void replace(char **p, const char *s)
{
	free(*p);
	*p = s ? xstrdup(s) : NULL;
}

static int64_t ends(const struct lease *l)
{
	return l->renewed + l->set.deadline_ms;
}

static void expire(struct lease *l, int64_t now)
{
	if (l->leading && now >= ends(l)) {
		l->leading = false;
		l->lost = true;
	}
}

static bool ours(const struct lease *l)
{
	return str_eq(l->holder, l->identity);
}

/* From when on we may write our name into the Lease (or its absence) as last seen. */
static int64_t takeable_at(const struct lease *l)
{
	bool others = !l->seen || (*l->holder && !ours(l));

	if (!l->fresh) {
		return INT64_MAX;
	}
	return others ? MAX(l->others_until, l->write_after) : l->write_after;
}

static int64_t retry_ms(const struct lease *l)
{
	double jitter = l->leading ? 0 : l->random(l->ctx) * JITTER;

	return l->set.retry_ms + (int64_t)((double)l->set.retry_ms * jitter);
}

/* The record as text: any change of it is a sign of life. Metadata is not: anybody may label a
 * Lease. */
static void observe(struct lease *l, int64_t now, const struct lease_record *r)
{
	int64_t seconds = MIN(MAX(r->seconds, 0), INT32_MAX);
	char *text = xprintf("%s|%" PRId64 "|%s|%s|%" PRId64, r->holder ? r->holder : "", seconds,
			     r->acquired ? r->acquired : "", r->renewed ? r->renewed : "",
			     r->transitions);

	if (!str_eq(text, l->record)) {
		l->observed = now;
	}
	free(l->record);
	l->record = text;
	replace(&l->holder, r->holder ? r->holder : "");
	replace(&l->rv, r->obj.rv);
	l->transitions = MIN(MAX(r->transitions, 0), INT32_MAX);
	l->duration_ms = seconds * 1000;
	l->others_until = *l->holder && !ours(l) ? l->observed + l->duration_ms : INT64_MIN;
}

static void observe_json(struct lease *l, int64_t now, const json_t *body)
{
	json_t *meta = json_object_get(body, "metadata"), *spec = json_object_get(body, "spec");
	struct lease_record r = {
		.obj.rv = json_string_value(json_object_get(meta, "resourceVersion")),
		.holder = json_string_value(json_object_get(spec, "holderIdentity")),
		.acquired = json_string_value(json_object_get(spec, "acquireTime")),
		.renewed = json_string_value(json_object_get(spec, "renewTime")),
		.seconds = json_integer_value(json_object_get(spec, "leaseDurationSeconds")),
		.transitions = json_integer_value(json_object_get(spec, "leaseTransitions")),
	};

	observe(l, now, &r);
	json_decref(l->seen);
	l->seen = json_deep_copy(body);
	l->fresh = true;
}

static json_t *micro_time(int64_t wall_ms)
{
	char text[CLOCK_TEXT_MAX];

	return json_string(clock_micro_time(wall_ms * 1000, text));
}

static json_t *make_body(struct lease *l, int64_t wall_ms, bool release)
{
	json_t *body = l->seen ? json_deep_copy(l->seen)
			       : json_pack("{s:s, s:s, s:{s:s, s:s}}", "apiVersion",
					   "coordination.k8s.io/v1", "kind", "Lease", "metadata",
					   "name", l->name, "namespace", l->ns);
	json_t *spec = json_object_get(body, "spec"), *time;
	bool change = !ours(l) && l->record;

	if (!json_is_object(spec)) {
		json_object_set_new(body, "spec", spec = json_object());
	}
	/* A clock that stands still must not make a renewal look like no change. */
	l->last_wall = wall_ms == l->last_wall ? wall_ms + 1 : wall_ms;
	time = micro_time(l->last_wall);
	json_object_set_new(spec, "holderIdentity", json_string(release ? "" : l->identity));
	json_object_set_new(spec, "leaseDurationSeconds",
			    json_integer(release ? 1 : (l->set.duration_ms + 999) / 1000));
	json_object_set_new(spec, "leaseTransitions",
			    json_integer(MIN(l->transitions + change, INT32_MAX)));
	json_object_set(spec, "renewTime", time);
	if (!ours(l) || release || !json_object_get(spec, "acquireTime")) {
		json_object_set(spec, "acquireTime", time);
	}
	json_decref(time);
	return body;
}

static int64_t leader_wake(const struct lease *l)
{
	return MIN(l->fresh ? MAX(l->next, l->write_after) : l->next, ends(l));
}

static enum lease_do decide_release(struct lease *l, int64_t now, int64_t *ret_wake)
{
	if (l->leading && l->fresh && (!l->seen || !ours(l))) {
		l->leading = false;
	}
	*ret_wake = l->leading ? leader_wake(l) : INT64_MAX;
	if (now < *ret_wake) {
		return LEASE_WAIT;
	}
	return l->fresh ? LEASE_UPDATE : LEASE_GET;
}

static enum lease_do decide(struct lease *l, int64_t now, int64_t *ret_wake)
{
	int64_t takeable = takeable_at(l);

	if (l->leading) {
		*ret_wake = leader_wake(l);
		if (now < *ret_wake) {
			return LEASE_WAIT;
		}
		return !l->fresh ? LEASE_GET : l->seen ? LEASE_UPDATE : LEASE_CREATE;
	}
	*ret_wake = MIN(l->next, takeable);
	if (now < *ret_wake) {
		return LEASE_WAIT;
	}
	return now < takeable ? LEASE_GET : l->seen ? LEASE_UPDATE : LEASE_CREATE;
}

enum lease_do lease_next(struct lease *l, int64_t now, int64_t wall_ms, json_t **ret_body,
			 int64_t *ret_wake)
{
	expire(l, now);
	*ret_wake = INT64_MAX;
	if (l->flying || l->lost) {
		return LEASE_WAIT;
	}
	l->flying = l->releasing ? decide_release(l, now, ret_wake) : decide(l, now, ret_wake);
	l->flying_release = l->releasing;
	if (l->flying == LEASE_CREATE || l->flying == LEASE_UPDATE) {
		*ret_body = make_body(l, wall_ms, l->releasing);
	}
	return l->flying;
}

int64_t lease_timeout(const struct lease *l, int64_t now)
{
	int64_t most = MAX(l->set.deadline_ms / 2, 1000), left;

	if (!l->leading) {
		return most;
	}
	/* Half of what is left: a lost answer must leave time for another try. */
	left = ends(l) - now;
	return MAX(MIN(MIN(most, MAX(left / 2, 1000)), left), 1);
}

static void answer_get(struct lease *l, int64_t now, int64_t sent, int http_status,
		       const json_t *body)
{
	if (http_status == 200 && json_is_object(body)) {
		observe_json(l, now, body);
	} else if (http_status == 404) {
		json_decref(take(l->seen));
		l->fresh = true;
		replace(&l->rv, NULL);
		replace(&l->holder, l->leading ? l->identity : "");
	} else {
		l->next = MAX(now, sent + retry_ms(l));
		return;
	}
	if (l->leading && *l->holder && !ours(l)) {
		l->leading = false;
		l->lost = true;
	}
	l->next = l->leading ? now : now + (l->watched ? l->set.duration_ms : retry_ms(l));
}

static void write_failed(struct lease *l, int64_t now, int64_t sent, int http_status)
{
	int64_t later = MAX(now, sent + retry_ms(l));

	/* 409: somebody else wrote, 404: the Lease is gone. Look at once; but write at once only
	 * the first time. */
	l->fresh = false;
	l->next = http_status == 409 || http_status == 404 ? now : later;
	l->write_after = l->failures++ ? later : INT64_MIN;
}

static void answer_write(struct lease *l, int64_t now, int64_t sent, int http_status,
			 const json_t *body)
{
	if (http_status < 200 || http_status > 299) {
		write_failed(l, now, sent, http_status);
		return;
	}
	l->failures = 0;
	l->fresh = false;
	if (json_is_object(body)) {
		observe_json(l, now, body);
	}
	if (l->flying_release) {
		l->leading = false;
	} else if (!l->lost && (l->leading || now < sent + l->set.deadline_ms)) {
		l->leading = true;
		l->renewed = MAX(sent, l->renewed);
		l->next = l->releasing ? now : sent + l->set.renew_ms;
	} else {
		l->next = now; /* acquired, but so long ago that it says nothing: look again */
	}
}

void lease_answer(struct lease *l, int64_t now, int64_t sent, int http_status, const json_t *body)
{
	enum lease_do what = l->flying;

	expire(l, now);
	if (what == LEASE_GET) {
		answer_get(l, now, sent, http_status, body);
	} else if (what != LEASE_WAIT) {
		answer_write(l, now, sent, http_status, body);
	}
	l->flying = LEASE_WAIT;
	l->flying_release = false;
}

void lease_seen(struct lease *l, int64_t now, const struct lease_record *record)
{
	l->watched = true;
	if (!record) {
		l->fresh = false;
		l->next = now;
		return;
	}
	/* A watch may lag behind our own writes; and the echo of one may come before its answer. */
	if (rv_compare(record->obj.rv, l->rv) <= 0 ||
	    (l->leading && l->flying && str_eq(record->holder, l->identity))) {
		return;
	}
	observe(l, now, record);
	l->fresh = false;
	if (l->leading && *l->holder && !ours(l)) {
		l->leading = false;
		l->lost = true;
	} else if (!ours(l)) {
		l->next = MAX(l->others_until, now);
	}
}

bool lease_held(const struct lease *l, int64_t now)
{
	return l->leading && !l->releasing && now < ends(l);
}

int64_t lease_left(const struct lease *l, int64_t now)
{
	return lease_held(l, now) ? ends(l) - now : 0;
}

bool lease_lost(const struct lease *l, int64_t now)
{
	return l->lost || (l->leading && now >= ends(l));
}

void lease_release(struct lease *l)
{
	l->releasing = true;
	l->next = l->write_after = INT64_MIN;
}

bool lease_released(const struct lease *l, int64_t now)
{
	bool writing = l->flying == LEASE_CREATE || l->flying == LEASE_UPDATE;

	return l->releasing && (lease_lost(l, now) || (!l->leading && !writing));
}

const char *lease_holder(const struct lease *l)
{
	return l->holder;
}

int64_t lease_transitions(const struct lease *l)
{
	return l->transitions;
}
