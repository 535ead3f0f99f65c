package observe

import (
	"strings"
	"time"

	"vmgpu.io/e2e/kube"
)

// change is one event, until it is known who made it.
type change struct {
	kind  string
	r     kube.Resource
	event kube.Event
	at    time.Time
	found bool // it was there when the watch began
}

// The log's line of a write may come after the watch's event of it: a little, or, where the change bears our name, on a
// machine that is busy, much.
const (
	logLag       = 300 * time.Millisecond
	signedLogLag = 10 * time.Second
)

func (o *Observer) lag(e kube.Event) time.Duration {
	if o.signed(e) {
		return signedLogLag
	}
	return logLag
}

// attribute goes through the changes in order and checks what we did.
func (o *Observer) attribute(all bool) {
	for len(o.changes) > 0 {
		c := o.changes[0]
		known := o.wrote[c.event.Object.RV()]
		if o.HasLog && !known && !all && o.now().Sub(c.at) < o.lag(c.event) {
			return
		}
		o.changes = o.changes[1:]
		ours := known || (!o.HasLog && o.signed(c.event))
		if c.event.Type == "DELETED" || c.found {
			ours = false // who asked for a deletion is known by the log only, see loggedWrite
		}
		if ours && !isLease(c.r) {
			o.countChange(c)
		}
		o.checkForeign(c, ours)
	}
}

// signed tells by managedFields whether one of our field managers made this change: its entry is another than before.
func (o *Observer) signed(e kube.Event) bool {
	before := map[string]string{}
	if e.Old != nil {
		before = o.entries(e.Old)
	}
	for key, text := range o.entries(e.Object) {
		if before[key] != text {
			return e.Old != nil || len(e.Object.List("metadata.managedFields")) > 0
		}
	}
	return false
}

func (o *Observer) entries(object kube.Object) map[string]string {
	all := map[string]string{}
	for _, m := range object.Objects("metadata.managedFields") {
		if strings.HasPrefix(m.Str("manager"), o.Manager) {
			all[m.Str("manager")+m.Str("operation")+m.Str("subresource")] = kube.Text(m)
		}
	}
	return all
}

func isLease(r kube.Resource) bool { return r.Plural == "leases" }
