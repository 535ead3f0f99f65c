package observe

import (
	"time"
)

// I8: deletion always ends, or the status of what is deleted says why not (its node is away).

func (o *Observer) endless(add adder) {
	for _, l := range o.world.leaving {
		object := l.object
		if !(isOurKind(object) || ownerOfOurs(object) != nil) || (isOurKind(object) && saysWhy(object)) {
			continue
		}
		since, err := time.Parse(time.RFC3339, object.Str("metadata.deletionTimestamp"))
		if err == nil && o.now().Sub(since) >= o.endGrace {
			add("I8", named(l.kind, object), 0, "being deleted for more than %s, finalizers %v", o.endGrace, object.Get("metadata.finalizers"))
		}
	}
}
