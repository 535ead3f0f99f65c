package observe

import (
	"strings"

	"vmgpu.io/e2e/kube"
)

// I12: no secret in logs, events, status or metrics. Markers are texts that a scenario puts into what is secret.

func (o *Observer) checkSecrets(kind string, e kube.Event) {
	if len(o.Markers) == 0 {
		return
	}
	if strings.HasPrefix(kind, "Event") {
		o.find(named(kind, e.Object), kube.Text(e.Object))
		return
	}
	o.find("status of "+named(kind, e.Object), kube.Text(e.Object["status"]))
}

// Text takes logs and metrics.
func (o *Observer) Text(source, text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.find(source, text)
}

func (o *Observer) find(source, text string) {
	for i, marker := range o.Markers {
		if marker != "" && strings.Contains(text, marker) {
			o.report("I12", source, "has secret number %d", i+1)
		}
	}
}
