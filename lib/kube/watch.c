/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/watch.h"
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
enum st { STREAMING, PAGING, WATCHING };
struct watch { struct cache *c; const struct kube_kind *k; char *sel; struct scan *s; enum st st; int64_t wake; int status; int64_t ra; char *rv; char *cont; bool synced, nolist, gone, open, refused; int fails; char *query; char *trouble; struct watch_counts n; int64_t opened; };
static void set(char **p, const char *v) { free(*p); *p = v ? xstrdup(v) : NULL; }
static void sink(void *ctx, const struct scan_event *e)
{
	struct watch *w = ctx; const struct obj *o = e->object;
	w->n.events++;
	switch (e->type) {
	case SCAN_ITEM: case SCAN_ADDED: case SCAN_MODIFIED:
		cache_put(w->c, w->k, o);
		if (w->st == WATCHING) { set(&w->rv, o->rv); cache_reached(w->c, w->k, o->rv); }
		break;
	case SCAN_DELETED: cache_gone(w->c, w->k, o); set(&w->rv, o->rv); break;
	case SCAN_BOOKMARK:
		if (w->st == WATCHING || e->initial_end) { set(&w->rv, o->rv); cache_reached(w->c, w->k, o->rv); }
		if (w->st == STREAMING && e->initial_end) { cache_sync_end(w->c, w->k, o->rv); w->st = WATCHING; w->synced = true; w->fails = 0; }
		break;
	case SCAN_ERROR:
		if (e->status.code == 410) { w->gone = true; } else if (w->st == STREAMING) { w->refused = true; }
		break;
	default: break;
	}
}
struct watch *watch_create(struct cache *c, const struct kube_kind *k, const char *fs, double (*r)(void *), void *ctx)
{
	struct watch *w = xcalloc(1, sizeof(*w)); (void)r; (void)ctx;
	w->c = c; w->k = k; w->sel = fs ? xstrdup(fs) : NULL; w->s = scan_create(k->type, SCAN_WATCH, sink, w);
	return w;
}
struct watch *watch_destroy(struct watch *w) { if (w) { scan_destroy(w->s); free(w->sel); free(w->rv); free(w->cont); free(w->query); free(w->trouble); free(w);} return NULL; }
bool watch_wants(struct watch *w, int64_t now, struct watch_request *ret, int64_t *wake)
{
	auto_free char *sel = xprintf("%s%s%s%s", w->sel ? "&fieldSelector=" : "", w->sel ? w->sel : "", w->k->selector ? "&labelSelector=" : "", w->k->selector ? w->k->selector : "");
	if (w->open || now < w->wake) { *wake = w->open ? INT64_MAX : w->wake; return false; }
	free(w->query);
	if (w->st == PAGING) { w->query = xprintf("limit=500%s%s%s", w->cont ? "&continue=" : "", w->cont ? w->cont : "", sel); *ret = (struct watch_request){w->query, false, 60000}; }
	else if (w->st == STREAMING) { w->query = xprintf("watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=400%s", sel); *ret = (struct watch_request){w->query, true, 90000}; }
	else { w->query = xprintf("watch=1&allowWatchBookmarks=true&timeoutSeconds=400&resourceVersion=%s%s", w->rv, sel); *ret = (struct watch_request){w->query, true, 90000}; }
	return true;
}
void watch_opened(struct watch *w, int64_t now)
{
	w->open = true; w->gone = w->refused = false; w->status = 0; w->opened = now; scan_reset(w->s, w->st == PAGING ? SCAN_LIST : SCAN_WATCH);
	if (w->st == STREAMING || (w->st == PAGING && !w->cont)) cache_sync_begin(w->c, w->k, true);
}
void watch_status(struct watch *w, int64_t now, int s, int64_t ra) { (void)now; w->status = s; w->ra = ra; }
int watch_bytes(struct watch *w, int64_t now, const char *b, size_t n, struct err *err) { (void)now; if (w->status >= 400) return 0; return scan_feed(w->s, b, n, err); }
void watch_closed(struct watch *w, int64_t now, bool broken, const char *reason)
{
	w->open = false;
	if (w->status == 410 || w->gone) { w->st = w->nolist ? PAGING : STREAMING; set(&w->cont, NULL); w->wake = now; return; }
	if (w->st == STREAMING && (w->refused || (w->status >= 400 && w->status < 500 && w->status != 429))) { w->nolist = true; w->st = PAGING; w->wake = now; return; }
	if (!broken && w->status == 200) {
		if (w->st == PAGING) {
			if (scan_end(w->s, NULL) == 0) {
				const struct scan_list *l = scan_list(w->s);
				if (l->cont && *l->cont) { set(&w->cont, l->cont); } else { set(&w->rv, l->resource_version); set(&w->cont, NULL); cache_sync_end(w->c, w->k, w->rv); w->st = WATCHING; w->synced = true; }
				w->wake = now; w->fails = 0; set(&w->trouble, NULL); return;
			}
		} else { w->wake = now - w->opened < 1000 ? now + 1000 : now; set(&w->trouble, NULL); return; }
	}
	w->fails = MIN(w->fails + 1, 6);
	w->wake = now + (400 << w->fails);
	if (w->st == PAGING) set(&w->cont, NULL);
	free(w->trouble); w->trouble = xprintf("%s (HTTP %d)", reason ? reason : "closed", w->status);
}
void watch_hurry(struct watch *w, int64_t now) { if (!w->open) w->wake = now; }
bool watch_synced(const struct watch *w) { return w->synced; }
const char *watch_trouble(const struct watch *w) { return w->trouble; }
const char *watch_position(const struct watch *w) { return w->rv; }
const struct watch_counts *watch_counts(const struct watch *w) { return &w->n; }
