package scenario

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"
)

// Task is something to be done on a bench.
type Task func(b *Bench)

// Pool is benches, one a cluster, that take tasks in turn. A task may add more.
type Pool struct {
	benches []*Bench
	mu      sync.Mutex
	changed *sync.Cond
	waiting []job // the longest first
	short   bool  // whether it is the turn of a short one
	busy    int
	late    []func(ctx context.Context) *Bench
	left    func(b *Bench) // see Leave
}

type job struct {
	task  Task
	takes time.Duration
}

func newPool(benches []*Bench) *Pool {
	p := &Pool{benches: benches}
	p.changed = sync.NewCond(&p.mu)
	return p
}

// Add adds a task of which nobody knows how long it takes: behind the others of that kind, before all else.
func (p *Pool) Add(task Task) { p.AddOf(math.MaxInt64, task) }

// AddOf adds a task that takes about so long.
func (p *Pool) AddOf(takes time.Duration, task Task) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := slices.IndexFunc(p.waiting, func(j job) bool { return j.takes < takes })
	if at < 0 {
		at = len(p.waiting)
	}
	p.waiting = slices.Insert(p.waiting, at, job{task, takes})
	p.changed.Broadcast()
}

// Join adds a bench that is not there yet: open waits for it, and gives nil if there is none before its context ends.
func (p *Pool) Join(open func(ctx context.Context) *Bench) { p.late = append(p.late, open) }

// Leave lets each bench go as soon as no task is left for it, although others are busy: to that end no task may add another.
func (p *Pool) Leave(left func(b *Bench)) { p.left = left }

// Run works until no task is left or ctx ends.
func (p *Pool) Run(ctx context.Context) {
	var all, late sync.WaitGroup
	for _, b := range p.benches {
		all.Go(func() { p.work(ctx, b) })
	}
	waiting, stop := context.WithCancel(ctx)
	for _, open := range p.late {
		late.Go(func() {
			if b := open(waiting); b != nil {
				p.work(ctx, b)
			}
		})
	}
	all.Wait()
	stop()
	late.Wait()
}

func (p *Pool) work(ctx context.Context, b *Bench) {
	for task := p.next(ctx); task != nil; task = p.next(ctx) {
		task(b)
		p.mu.Lock()
		p.busy--
		p.changed.Broadcast()
		p.mu.Unlock()
	}
	if p.left != nil {
		p.left(b)
	}
}

// next waits for a task; nil if there is none and no busy bench could add one.
func (p *Pool) next(ctx context.Context) Task {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.waiting) == 0 && p.busy > 0 && p.left == nil && ctx.Err() == nil {
		p.changed.Wait()
	}
	if len(p.waiting) == 0 || ctx.Err() != nil {
		p.changed.Broadcast()
		return nil
	}
	p.busy++
	return p.take()
}

// take gives the longest and the shortest in turn. The long ones mostly wait, the short ones mostly work, so that beside each other
// they keep the cores busy; and none that is long is left alone at the end.
func (p *Pool) take() Task {
	at := 0
	if p.short && p.waiting[0].takes != math.MaxInt64 {
		at = len(p.waiting) - 1
	}
	p.short = !p.short
	task := p.waiting[at].task
	p.waiting = slices.Delete(p.waiting, at, at+1)
	return task
}
