package proxy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Match says which requests a rule is for; what is left out matches all. The texts are regular expressions.
type Match struct {
	Method string `json:"method,omitempty"`
	Path   string `json:"path,omitempty"`
	Not    string `json:"not,omitempty"` // of the path
	Query  string `json:"query,omitempty"`
	Agent  string `json:"agent,omitempty"`
	Via    string `json:"via,omitempty"`    // the name of the listener
	Writes bool   `json:"writes,omitempty"` // POST PUT PATCH DELETE only
	Watch  bool   `json:"watch,omitempty"`  // watches only
	Reads  bool   `json:"reads,omitempty"`  // GETs that are no watches
}

// EventMatch says which event of a matching watch is meant.
type EventMatch struct {
	Type string `json:"type,omitempty"` // regular expression, e.g. ADDED|MODIFIED
	Name string `json:"name,omitempty"` // of namespace/name
}

// Rule is one fault. See README.md for what each Do does.
type Rule struct {
	Name       string     `json:"name,omitempty"`
	Match      Match      `json:"match"`
	Event      EventMatch `json:"event,omitzero"`
	Nth        int        `json:"nth,omitempty"`   // begins with the N-th match, default 1
	Times      int        `json:"times,omitempty"` // how often, default 1; -1: from then on
	Do         string     `json:"do"`
	When       string     `json:"when,omitempty"` // freeze, hold: before (default), lost, after
	Then       string     `json:"then,omitempty"` // drop: what was held before it was sent is not sent when released
	Status     int        `json:"status,omitempty"`
	RetryAfter string     `json:"retryAfter,omitempty"`
	For        Duration   `json:"for,omitempty"`
	At         int        `json:"at,omitempty"`   // cut: after so many bytes
	Body       string     `json:"body,omitempty"` // replace: html, half, huge, utf8, empty, deep or the body itself

	seen, done                                            int
	announced                                             bool
	via                                                   string // whose request it acted on last
	method, path, not, query, agent, eventType, eventName *regexp.Regexp
}

// Duration reads "300ms".
type Duration time.Duration

func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

var requestFaults = []string{"status", "drop-before", "drop-answer", "hold", "freeze", "delay", "cut", "replace", "goaway", "close", "black-hole"}
var eventFaults = []string{"withhold", "skip", "repeat", "reorder", "drop-bookmarks", "expire"}

func (r *Rule) isEventFault() bool { return slices.Contains(eventFaults, r.Do) }

func (r *Rule) compile() error {
	if !slices.Contains(requestFaults, r.Do) && !r.isEventFault() {
		return fmt.Errorf("rule %q: do %q is none of %s, %s", r.Name, r.Do, strings.Join(requestFaults, ", "), strings.Join(eventFaults, ", "))
	}
	if !slices.Contains([]string{"", "before", "lost", "after"}, r.When) {
		return fmt.Errorf("rule %q: when %q is none of before, lost, after", r.Name, r.When)
	}
	if r.Then != "" && r.Then != "drop" {
		return fmt.Errorf("rule %q: then %q is not drop", r.Name, r.Then)
	}
	if r.Do == "status" && (r.Status < 200 || r.Status > 599) {
		return fmt.Errorf("rule %q: status %d is no HTTP status", r.Name, r.Status)
	}
	if r.Nth == 0 {
		r.Nth = 1
	}
	if r.Times == 0 {
		r.Times = 1
	}
	for _, x := range []struct {
		text string
		to   **regexp.Regexp
	}{{r.Match.Method, &r.method}, {r.Match.Path, &r.path}, {r.Match.Not, &r.not}, {r.Match.Query, &r.query}, {r.Match.Agent, &r.agent},
		{r.Event.Type, &r.eventType}, {r.Event.Name, &r.eventName}} {
		if x.text == "" {
			continue
		}
		e, err := regexp.Compile(x.text)
		if err != nil {
			return fmt.Errorf("rule %q: %w", r.Name, err)
		}
		*x.to = e
	}
	return nil
}

func passes(e *regexp.Regexp, text string) bool { return e == nil || e.MatchString(text) }

func (r *Rule) matches(q *request) bool {
	m := &r.Match
	return passes(r.method, q.Method) && passes(r.path, q.Path) && (r.not == nil || !r.not.MatchString(q.Path)) && passes(r.query, q.Query) &&
		passes(r.agent, q.Agent) && (m.Via == "" || m.Via == q.Via) && (!m.Writes || q.IsWrite()) && (!m.Watch || q.watch) && (!m.Reads || q.isRead())
}

// due counts one match and tells whether the fault may happen now.
func (r *Rule) due() bool {
	r.seen++
	return r.seen >= r.Nth && (r.Times < 0 || r.done < r.Times)
}

// rules is the list in force.
type rules struct {
	mu  sync.Mutex
	all []*Rule
	hit chan struct{} // closed and replaced whenever a rule acts
}

func (l *rules) add(more []Rule) error {
	var compiled []*Rule
	for i := range more {
		r := more[i]
		if err := r.compile(); err != nil {
			return err
		}
		compiled = append(compiled, &r)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, compiled...)
	return nil
}

func (l *rules) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = nil
}

// pick is the rule that acts on this request, if any: the first that is due. All that match count it.
func (l *rules) pick(q *request) *Rule {
	l.mu.Lock()
	defer l.mu.Unlock()
	var picked *Rule
	for _, r := range l.all {
		if !r.isEventFault() && r.matches(q) && r.due() && picked == nil {
			picked = r
			r.done++
		}
	}
	return picked
}

// forWatch are the rules about events of this watch.
func (l *rules) forWatch(q *request) []*Rule {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []*Rule
	for _, r := range l.all {
		if q.watch && r.isEventFault() && r.matches(q) {
			all = append(all, r)
		}
	}
	return all
}

// dueEvent tells whether an event rule acts on this event.
func (l *rules) dueEvent(r *Rule, kind, key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	due := slices.Contains(l.all, r) && passes(r.eventType, kind) && passes(r.eventName, key) && r.due()
	if due {
		r.done++
	}
	return due
}

// acted wakes whoever waits for a rule to act.
func (l *rules) acted(r *Rule, q *request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.announced, r.via = true, q.Via
	close(l.hit)
	l.hit = make(chan struct{})
}

// state tells whether the named rule has acted and on whose request, and gives a channel that closes when any next one does.
func (l *rules) state(name string) (bool, string, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.all {
		if r.Name == name && r.announced {
			return true, r.via, l.hit
		}
	}
	return false, "", l.hit
}
