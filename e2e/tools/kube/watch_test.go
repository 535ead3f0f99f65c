package kube

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A server that lists two objects, then streams a change and an ERROR, then lists what is left.
func TestWatchListsAgainAfterAnErrorAndReportsTheDifference(t *testing.T) {
	lists := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Query().Get("watch") != "":
			if got := r.URL.Query().Get("resourceVersion"); lists == 1 && got != "10" {
				t.Errorf("watch from %s", got)
			}
			if lists > 1 {
				w.(http.Flusher).Flush()
				<-r.Context().Done()
				return
			}
			fmt.Fprintln(w, `{"type":"MODIFIED","object":{"metadata":{"name":"a","uid":"1","resourceVersion":"11"}}}`)
			fmt.Fprintln(w, `{"type":"ERROR","object":{"code":410}}`)
		default:
			lists++
			if lists == 1 {
				fmt.Fprintln(w, `{"kind":"XList","metadata":{"resourceVersion":"10"},"items":[{"metadata":{"name":"a","uid":"1","resourceVersion":"1"}},{"metadata":{"name":"b","uid":"2","resourceVersion":"2"}}]}`)
			} else {
				fmt.Fprintln(w, `{"kind":"XList","metadata":{"resourceVersion":"20"},"items":[{"metadata":{"name":"a","uid":"3","resourceVersion":"12"}}]}`)
			}
		}
	}))
	defer s.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c := &Client{Config: Config{Server: s.URL}, http: s.Client()}
	var seen []string
	c.Watch(ctx, "/x", func(e Event) {
		seen = append(seen, strings.TrimSpace(e.Type+" "+e.Object.Name()+" "+e.Object.UID()))
		if e.Type == "SYNCED" && lists == 2 {
			cancel()
		}
	})
	want := "[ADDED a 1 ADDED b 2 SYNCED MODIFIED a 1 DELETED a 1 ADDED a 3 DELETED b 2 SYNCED]"
	if got := fmt.Sprint(seen); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
