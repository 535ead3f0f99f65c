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
	var kept []byte // by reorder, until what follows was sent, or for as long as the rule says
	var late <-chan time.Time
	for lines := q.lines(from); ; {
		var l line
		select {
		case l = <-lines:
		case <-late:
			q.send(kept)
			kept, late = nil, nil
			continue
		}
		if q.proxy.gate.pass(q.r.Context()) != nil {
			panic(http.ErrAbortHandler)
		}
		if len(l.text) > 0 {
			first := q.fault(rules, l.text)
			switch {
			case first == nil:
				q.send(l.text)
			case first.Do == "reorder":
				kept = append(kept, l.text...)
				if late == nil && first.For > 0 {
					late = time.After(time.Duration(first.For))
				}
				continue
			case first.Do == "expire":
				q.send([]byte(expired))
				return
			default:
				q.disturb(first, l.text)
			}
			q.send(kept)
			kept, late = nil, nil
		}
		if l.err == io.EOF {
			q.send(kept)
			return
		}
		if l.err != nil {
			q.Error = l.err.Error()
			panic(http.ErrAbortHandler)
		}
	}
}

type line struct {
	text []byte
	err  error // ends the stream
}

// lines are those of the stream, each as soon as it is whole.
func (q *request) lines(from io.Reader) <-chan line {
	lines := make(chan line)
	go func() {
		for r := bufio.NewReaderSize(from, 1<<16); ; {
			text, err := r.ReadBytes('\n')
			select {
			case lines <- line{text, err}:
			case <-q.r.Context().Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return lines
}

// fault is the first rule that acts on this event.
func (q *request) fault(rules []*Rule, text []byte) *Rule {
	var e struct {
		Type   string
		Object struct {
			Metadata struct{ Name, Namespace string }
		}
	}
	if json.Unmarshal(text, &e) != nil {
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

func (q *request) disturb(r *Rule, text []byte) {
	switch r.Do {
	case "skip", "drop-bookmarks":
	case "repeat":
		q.send(text)
		q.send(text)
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
		q.send(text)
	}
}
