package scenario

import (
	"context"
	"sync"
)

// Task is something to be done on a bench.
type Task func(b *Bench)

// Pool is benches, one a cluster, that take tasks in turn. A task may add more.
type Pool struct {
	benches []*Bench
	mu      sync.Mutex
	changed *sync.Cond
	waiting []Task
	busy    int
}

func newPool(benches []*Bench) *Pool {
	p := &Pool{benches: benches}
	p.changed = sync.NewCond(&p.mu)
	return p
}

// Add puts tasks behind those that wait.
func (p *Pool) Add(tasks ...Task) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = append(p.waiting, tasks...)
	p.changed.Broadcast()
}

// Run works until no task is left or ctx ends.
func (p *Pool) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, b := range p.benches {
		all.Go(func() {
			for task := p.next(ctx); task != nil; task = p.next(ctx) {
				task(b)
				p.mu.Lock()
				p.busy--
				p.changed.Broadcast()
				p.mu.Unlock()
			}
		})
	}
	all.Wait()
}

// next waits for a task; nil if there is none and no busy bench could add one.
func (p *Pool) next(ctx context.Context) Task {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.waiting) == 0 && p.busy > 0 && ctx.Err() == nil {
		p.changed.Wait()
	}
	if len(p.waiting) == 0 || ctx.Err() != nil {
		p.changed.Broadcast()
		return nil
	}
	task := p.waiting[0]
	p.waiting = p.waiting[1:]
	p.busy++
	return task
}
