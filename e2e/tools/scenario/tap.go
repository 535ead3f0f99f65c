package scenario

import (
	"fmt"
	"io"
	"strings"
	"sync"
)

// tap prints results as TAP, a line a behaviour.
type tap struct {
	mu                      sync.Mutex
	out                     io.Writer
	passed, failed, skipped int
}

func (t *tap) result(name string, r *Result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.Skipped != "" {
		t.skipped++
		fmt.Fprintf(t.out, "ok %d - %s # SKIP %s\n", t.count(), name, r.Skipped)
		return
	}
	for _, s := range r.Says {
		if s.Error == "" {
			t.passed++
			fmt.Fprintf(t.out, "ok %d - %s: %s\n", t.count(), name, s.Says)
			continue
		}
		t.failed++
		fmt.Fprintf(t.out, "not ok %d - %s: %s\n", t.count(), name, s.Says)
		t.note(s.Error)
	}
	if r.Failed() {
		for _, v := range r.Violations {
			t.note(fmt.Sprintf("%s %s: %s", v.Invariant, v.Object, v.Message))
		}
		t.note("logs: " + r.Logs)
	}
}

func (t *tap) count() int { return t.passed + t.failed + t.skipped }

func (t *tap) note(text string) {
	for _, line := range strings.Split(text, "\n") {
		fmt.Fprintln(t.out, "#", line)
	}
}

func (t *tap) end() {
	fmt.Fprintf(t.out, "1..%d\n%d passed, %d failed, %d skipped\n", t.count(), t.passed, t.failed, t.skipped)
}
