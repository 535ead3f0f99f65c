package observe

import (
	"regexp"
	"strings"

	"vmgpu.io/e2e/proxy"
)

// I7: effort is bounded: so many writes on one object and no more.

// loggedWrite takes each write of the program that the proxy saw.
func (o *Observer) loggedWrite(l proxy.Line) {
	o.checkLeader(l)
	if strings.Contains(l.Path, "/leases") {
		return
	}
	o.wroteAt(l.Time, l.Path)
	o.count(l.Path)
	if l.Method == "DELETE" && l.Status/100 == 2 {
		o.checkDeleted(l)
	}
}

// countChange takes each change that we made; with a log it is counted there already.
func (o *Observer) countChange(c change) {
	if o.HasLog {
		return
	}
	path := c.r.Path(c.event.Object.Namespace(), c.event.Object.Name())
	o.wroteAt(c.at, path)
	o.count(path)
}

var namespaceInPath = regexp.MustCompile(`/namespaces/[^/]+/`)

// Anonymous is a path without its namespace, the same in each run of a scenario.
func Anonymous(path string) string {
	path, _, _ = strings.Cut(namespaceInPath.ReplaceAllString(path, "/namespaces/*/"), "?")
	return path
}

func (o *Observer) count(path string) {
	key := Anonymous(path)
	o.writes[key]++
	limit := o.maxWrites
	if n, known := o.Baseline[key]; known {
		limit = 2*n + 2
	}
	if strings.Contains(path, "/gpunodes/") { // whoever begins to lead writes the term there
		limit += max(0, o.leader.terms-1)
	}
	if o.writes[key] == limit+1 && !strings.Contains(path, "/events") {
		o.report("I7", key, "more than %d writes", limit)
	}
}

// Writes is how often each path was written since Begin.
func (o *Observer) Writes() map[string]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := map[string]int{}
	for k, v := range o.writes {
		all[k] = v
	}
	return all
}
