package observe

import (
	"context"
	"time"
)

// I5: 15 s after the last fault all is done, and then nothing is written any more.

func (o *Observer) wroteAt(t time.Time, path string) {
	if t.After(o.lastOurs) {
		o.lastOurs, o.lastPath = t, path
	}
}

// LastWrite is when we last wrote anything but a Lease.
func (o *Observer) LastWrite() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lastOurs
}

// Settled tells whether nothing was written for the time of quiet and nothing is left to do.
func (o *Observer) Settled(quiet time.Duration) bool {
	if o.Writing != nil && o.Writing() {
		return false
	}
	return o.now().Sub(o.LastWrite()) >= quiet && len(o.Pending()) == 0
}

// A watch may be so late in telling what was done just before.
const watchDelay = time.Second

// Converge waits until all is settled. If it is not within limit, it reports what is missing.
func (o *Observer) Converge(ctx context.Context, quiet, limit time.Duration) []Violation {
	begin := o.now()
	for o.now().Sub(begin) < watchDelay || !o.Settled(quiet) {
		if o.now().Sub(begin) > limit+quiet || ctx.Err() != nil {
			o.stillWriting(quiet, limit)
			break
		}
		time.Sleep(50 * time.Millisecond)
		o.Tick()
	}
	return o.AtRest()
}

func (o *Observer) stillWriting(quiet, limit time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if since := o.now().Sub(o.lastOurs); since < quiet {
		o.report("I5", "all", "still writing after %s: the last write was %s ago, on %s", limit, since.Round(time.Millisecond), o.lastPath)
	}
}

// StayQuiet watches for the time, and reports each write in it.
func (o *Observer) StayQuiet(ctx context.Context, quiet time.Duration) {
	begin := o.now()
	for o.now().Sub(begin) < quiet && ctx.Err() == nil {
		time.Sleep(50 * time.Millisecond)
		o.Tick()
		o.mu.Lock()
		if o.lastOurs.After(begin) {
			o.report("I5", o.lastPath, "written %s after all was done", o.lastOurs.Sub(begin).Round(time.Millisecond))
			begin, quiet = o.lastOurs, quiet-o.lastOurs.Sub(begin)
		}
		o.mu.Unlock()
	}
}
