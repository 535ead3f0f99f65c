package observe

import (
	"strings"
	"time"

	"vmgpu.io/e2e/kube"
	"vmgpu.io/e2e/proxy"
)

// I9: after somebody else has the Lease, the writes of who had it change nothing. Who writes is known by the proxy's listener and the
// User-Agent; who leads, by what each wrote into the Lease and by the Lease itself.

type leader struct {
	names map[string]string    // who writes → the identity that it put into the Lease
	now   string               // identity in the Lease
	terms int                  // how often somebody began to lead
	since map[string]time.Time // identity → when it lost the Lease to another
}

func newLeader() leader {
	return leader{names: map[string]string{}, since: map[string]time.Time{}}
}

func (l *leader) holds(identity string, at time.Time) {
	if identity == l.now {
		return
	}
	if l.now != "" && identity != "" {
		l.since[l.now] = at
	}
	if identity != "" {
		delete(l.since, identity)
		l.now = identity
		l.terms++
	}
}

func (o *Observer) isLeaderLease(path string) bool { return strings.Contains(path, o.Lease) }

func (o *Observer) checkLeader(l proxy.Line) {
	who := l.Via + " " + l.Agent
	if o.isLeaderLease(l.Path) || (strings.HasSuffix(l.Path, "/leases") && l.Method == "POST") {
		if l.Holder != "" && l.Status/100 == 2 {
			o.leader.names[who] = l.Holder
			o.leader.holds(l.Holder, l.Time.Add(time.Duration(l.Millis*float64(time.Millisecond))))
		}
		return
	}
	identity := o.leader.names[who]
	lost, isEx := o.leader.since[identity]
	if identity == "" || !isEx || !l.Time.After(lost) || l.Status/100 != 2 || strings.Contains(l.Path, "/events") {
		return
	}
	if seen := o.world.paths[l.Path]; seen != nil && seen.RV() == l.RV && o.world.since[l.Path].Before(l.Time) { // it changed nothing
		return
	}
	o.report("I9", l.Path, "%s by %s, %s after %s took the Lease", l.Method, identity, l.Time.Sub(lost).Round(time.Millisecond), o.leader.now)
}

// sawLease notices also a Lease that was taken past the proxy.
func (o *Observer) sawLease(r kube.Resource, e kube.Event) {
	if isLease(r) && o.isLeaderLease(r.Path(e.Object.Namespace(), e.Object.Name())) {
		o.leader.holds(e.Object.Str("spec.holderIdentity"), o.now())
	}
}
