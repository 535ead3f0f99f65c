package proxy

import (
	"bytes"
	"sync"
)

// open are the watches that go on, and how many writes.
type open struct {
	mu     sync.Mutex
	all    map[int64]*request
	writes int
}

func (o *open) add(q *request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all == nil {
		o.all = map[int64]*request{}
	}
	o.all[q.Index] = q
}

func (o *open) remove(q *request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.all, q.Index)
}

// writing counts writes that came and are not answered yet.
func (o *open) writing(more int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writes += more
}

// sent counts what was passed on.
func (o *open) sent(q *request, text []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	q.Bytes += len(text)
	if q.watch {
		q.Events += bytes.Count(text, []byte{'\n'})
	}
}

func (o *open) met(q *request, r *Rule) {
	o.mu.Lock()
	defer o.mu.Unlock()
	q.Fault = r.Name + ":" + r.Do
}

// Open are the watches that go on, with what was passed on of them until now.
func (p *Proxy) Open() []Line {
	p.open.mu.Lock()
	defer p.open.mu.Unlock()
	var all []Line
	for _, q := range p.open.all {
		l := q.Line
		l.Status, l.Phase = 200, "done"
		all = append(all, l)
	}
	return all
}

// Writing tells whether a write, but of a Lease, came and is not answered yet.
func (p *Proxy) Writing() bool {
	p.open.mu.Lock()
	defer p.open.mu.Unlock()
	return p.open.writes > 0
}
