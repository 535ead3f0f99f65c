package play

import (
	"context"
	"sync"
	"time"
)

// queue hands keys to workers, each key to one worker at a time; a key added while it is worked on is worked on again.
type queue struct {
	mu    sync.Mutex
	dirty map[string]bool
	busy  map[string]bool
	wake  chan string
}

func newQueue() *queue {
	return &queue{dirty: map[string]bool{}, busy: map[string]bool{}, wake: make(chan string, 1<<16)}
}

func (q *queue) add(key string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dirty[key] {
		return
	}
	q.dirty[key] = true
	if !q.busy[key] {
		q.wake <- key
	}
}

// run works until ctx ends. An error puts the key back after a pause.
func (q *queue) run(ctx context.Context, work func(key string) error) {
	for {
		select {
		case <-ctx.Done():
			return
		case key := <-q.wake:
			q.mu.Lock()
			delete(q.dirty, key)
			q.busy[key] = true
			q.mu.Unlock()
			if work(key) != nil {
				time.AfterFunc(500*time.Millisecond, func() { q.add(key) })
			}
			q.mu.Lock()
			delete(q.busy, key)
			if q.dirty[key] {
				q.wake <- key
			}
			q.mu.Unlock()
		}
	}
}
