package proxy

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"
)

var expired = `{"type":"ERROR","object":` + strings.TrimSpace(status(410, "Expired")) + "}\n"

// stream passes a watch on, event by event, past the rules about events.
func (q *request) stream(from io.Reader) {
	rules := q.proxy.rules.forWatch(q)
	if len(rules) == 0 {
		q.pump(from, -1)
		return
	}
	var kept []byte // by reorder
	for lines := bufio.NewReaderSize(from, 1<<16); ; {
		line, err := lines.ReadBytes('\n')
		if q.proxy.gate.pass(q.r.Context()) != nil {
			panic(http.ErrAbortHandler)
		}
		if len(line) > 0 {
			first := q.fault(rules, line)
			switch {
			case first == nil:
				q.send(line)
			case first.Do == "reorder":
				kept = append(kept, line...)
				continue
			case first.Do == "expire":
				q.send([]byte(expired))
				return
			default:
				q.disturb(first, line)
			}
			q.send(kept)
			kept = nil
		}
		if err == io.EOF {
			q.send(kept)
			return
		}
		if err != nil {
			q.Error = err.Error()
			panic(http.ErrAbortHandler)
		}
	}
}

// fault is the first rule that acts on this event.
func (q *request) fault(rules []*Rule, line []byte) *Rule {
	var e struct {
		Type   string
		Object struct {
			Metadata struct{ Name, Namespace string }
		}
	}
	if json.Unmarshal(line, &e) != nil {
		return nil
	}
	key := e.Object.Metadata.Name
	if e.Object.Metadata.Namespace != "" {
		key = e.Object.Metadata.Namespace + "/" + key
	}
	var first *Rule
	for _, r := range rules {
		if (r.Do == "drop-bookmarks") != (e.Type == "BOOKMARK") && r.Event.Type == "" {
			continue // bookmarks are no events unless a rule names them
		}
		if first == nil && q.proxy.rules.dueEvent(r, e.Type, key) {
			first = r
		}
	}
	if first != nil {
		q.proxy.rules.acted(first, q)
		q.proxy.open.met(q, first)
	}
	return first
}

func (q *request) disturb(r *Rule, line []byte) {
	switch r.Do {
	case "skip", "drop-bookmarks":
	case "repeat":
		q.send(line)
		q.send(line)
	case "withhold":
		released := q.proxy.gate.released()
		var later <-chan time.Time
		if r.For > 0 {
			later = time.After(time.Duration(r.For))
		}
		select {
		case <-released:
		case <-later:
		case <-q.r.Context().Done():
			panic(http.ErrAbortHandler)
		}
		q.send(line)
	}
}
