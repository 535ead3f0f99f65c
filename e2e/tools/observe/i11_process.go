package observe

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// I11: memory, descriptors and threads return to where they were.

// Process is the size of one.
type Process struct{ RssAnonKB, FDs, Threads, PeakKB int }

// ReadProcess looks at /proc; root is /proc but in tests.
func ReadProcess(root string, pid int) (Process, error) {
	var p Process
	folder := fmt.Sprintf("%s/%d", root, pid)
	status, err := os.ReadFile(folder + "/status")
	if err != nil {
		return p, err
	}
	for _, line := range strings.Split(string(status), "\n") {
		name, rest, _ := strings.Cut(line, ":")
		number, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
		switch name {
		case "RssAnon":
			p.RssAnonKB = number
		case "Threads":
			p.Threads = number
		case "VmHWM":
			p.PeakKB = number
		}
	}
	fds, err := os.ReadDir(folder + "/fd")
	p.FDs = len(fds)
	return p, err
}

// ForgetPeak makes the kernel count a process's peak anew, from what it has now.
func ForgetPeak(root string, pid int) error {
	return os.WriteFile(fmt.Sprintf("%s/%d/clear_refs", root, pid), []byte("5"), 0)
}

// Peaked reports I11 if a process was much larger at any time since its peak was forgotten than it was then.
func (o *Observer) Peaked(name string, before, after Process) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if limit := before.PeakKB + peakSlackKB; after.PeakKB > limit {
		o.report("I11", name, "had up to %d kB, began with %d kB, at most %d kB are allowed", after.PeakKB, before.PeakKB, limit)
	}
}

const (
	memorySlackKB = 4096
	peakSlackKB   = 16384 // the largest object that is read, and what it takes to read it
	fdSlack       = 4
)

// Grown reports I11 if a process is larger than it was at a comparable moment.
func (o *Observer) Grown(name string, before, after Process) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if limit := before.RssAnonKB*3/2 + memorySlackKB; after.RssAnonKB > limit {
		o.report("I11", name, "RssAnon %d kB, was %d kB, at most %d kB are allowed", after.RssAnonKB, before.RssAnonKB, limit)
	}
	if after.FDs > before.FDs+fdSlack {
		o.report("I11", name, "%d open files, were %d", after.FDs, before.FDs)
	}
	if after.Threads > before.Threads {
		o.report("I11", name, "%d threads, were %d", after.Threads, before.Threads)
	}
}
