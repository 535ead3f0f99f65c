package kube

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"time"
)

// Event is one change. Old is what was known of the object before. Type is ADDED, MODIFIED, DELETED, or SYNCED after each list.
type Event struct {
	Type        string
	Object, Old Object
}

// Watch lists path and then follows it until ctx ends; whatever breaks, it lists again and reports the difference.
// f is called by one goroutine at a time.
func (c *Client) Watch(ctx context.Context, path string, f func(Event)) {
	w := watcher{Client: c, path: path, f: f, known: map[string]Object{}}
	for ctx.Err() == nil {
		pause := 200 * time.Millisecond
		if err := w.once(ctx); IsCode(err, 404) {
			pause = time.Second // the kind is not there yet
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

type watcher struct {
	*Client
	path  string
	f     func(Event)
	known map[string]Object
}

func (w *watcher) with(query string) string {
	if strings.Contains(w.path, "?") {
		return w.path + "&" + query
	}
	return w.path + "?" + query
}

func (w *watcher) once(ctx context.Context) error {
	rv, err := w.list(ctx)
	for err == nil && ctx.Err() == nil {
		rv, err = w.follow(ctx, rv)
	}
	return err
}

func (w *watcher) list(ctx context.Context) (string, error) {
	l, err := w.Get(ctx, w.path)
	if err != nil {
		if IsCode(err, 404) {
			w.replace(nil) // the kind went away, and its objects with it
		}
		return "", err
	}
	items := l.Objects("items")
	kind := strings.TrimSuffix(l.Kind(), "List")
	for _, o := range items { // items of a list do not say what they are
		if o["kind"] == nil {
			o["kind"], o["apiVersion"] = kind, l["apiVersion"]
		}
	}
	w.replace(items)
	return l.RV(), nil
}

func (w *watcher) replace(items []Object) {
	now := map[string]bool{}
	for _, o := range items {
		now[o.Key()] = true
		old := w.known[o.Key()]
		if old != nil && old.UID() != o.UID() {
			w.event("DELETED", old)
			old = nil
		}
		switch {
		case old == nil:
			w.event("ADDED", o)
		case old.RV() != o.RV():
			w.event("MODIFIED", o)
		}
	}
	for key, old := range w.known {
		if !now[key] {
			w.event("DELETED", old)
		}
	}
	w.f(Event{Type: "SYNCED"})
}

func (w *watcher) event(kind string, o Object) {
	old := w.known[o.Key()]
	if kind == "DELETED" {
		delete(w.known, o.Key())
	} else {
		w.known[o.Key()] = o
	}
	w.f(Event{kind, o, old})
}

var errExpired = errors.New("watch: the server reports an error")

func (w *watcher) follow(ctx context.Context, rv string) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, err := w.send(ctx, "GET", w.with("watch=1&allowWatchBookmarks=true&resourceVersion="+rv), "", nil)
	if err != nil {
		return rv, err
	}
	defer r.Body.Close()
	if r.StatusCode != 200 {
		text, _ := io.ReadAll(io.LimitReader(r.Body, 4096))
		return rv, failure("watch "+w.path, r.StatusCode, text)
	}
	for lines := bufio.NewReaderSize(r.Body, 1<<16); ; {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return rv, nil
		}
		if err != nil {
			return rv, err
		}
		e, err := Decode(line)
		if err != nil {
			return rv, err
		}
		o, _ := e["object"].(map[string]any)
		switch kind, _ := e["type"].(string); kind {
		case "ERROR":
			return rv, errExpired
		case "BOOKMARK":
		default:
			w.event(kind, o)
		}
		rv = Object(o).RV()
	}
}
