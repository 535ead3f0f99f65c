package scenario

import (
	"context"
	"strings"
	"sync"
	"time"

	"vmgpu.io/e2e/proxy"
)

// leads hears the lines of the proxy's log, and knows who last put itself into the leader's Lease.
type leads struct {
	mu    sync.Mutex
	lease string // part of the path
	via   string
	lines []proxy.Line // since the last mark
}

func (l *leads) take(line proxy.Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if line.Mark != "" {
		l.lines, l.via = nil, ""
		return
	}
	l.lines = append(l.lines, line)
	onLease := strings.Contains(line.Path, l.lease) || strings.HasSuffix(line.Path, "/leases")
	if onLease && line.IsWrite() && line.Status/100 == 2 && line.Holder != "" {
		l.via = line.Via
	}
}

// wait is the listener through which the leader came, "" if nobody leads in time.
func (l *leads) wait(ctx context.Context, limit time.Duration) string {
	for end := time.Now().Add(limit); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		l.mu.Lock()
		via := l.via
		l.mu.Unlock()
		if via != "" {
			return via
		}
	}
	return ""
}

// since are the lines since the last mark.
func (l *leads) since() []proxy.Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]proxy.Line(nil), l.lines...)
}
