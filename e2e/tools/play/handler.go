package play

import (
	"context"
	"encoding/json"

	"vmgpu.io/e2e/kube"
)

// vmi does what virt-handler does: a VMI that is scheduled to the node runs, and ends when it is deleted or its launcher is gone.
func (p *Player) vmi(ctx context.Context, vmi kube.Object) error {
	p.mu.Lock()
	handler := p.handlers[vmi.Str("status.nodeName")]
	launched := p.launched(vmi)
	p.mu.Unlock()
	phase := vmi.Str("status.phase")
	want := nextPhase(phase, vmi.Deleting() || !launched)
	if handler == nil || want == phase {
		return nil
	}
	changed, err := copyOf(vmi)
	if err != nil {
		return err
	}
	status := changed["status"].(map[string]any)
	status["phase"] = want
	// Without the time of Running virt-controller takes the end of the VMI for a failed start: CrashLoopBackOff.
	times, _ := status["phaseTransitionTimestamps"].([]any)
	status["phaseTransitionTimestamps"] = append(times, m{"phase": want, "phaseTransitionTimestamp": now()})
	_, err = handler.Put(ctx, "/apis/kubevirt.io/v1/namespaces/"+vmi.Namespace()+"/virtualmachineinstances/"+vmi.Name(), changed)
	return err
}

func nextPhase(phase string, gone bool) string {
	switch {
	case gone && (phase == "Scheduled" || phase == "Running"):
		return "Succeeded"
	case phase == "Scheduled":
		return "Running"
	}
	return phase
}

func (p *Player) launched(vmi kube.Object) bool {
	for key, o := range p.objects {
		if key[:4] == "pod " && o.Str(`metadata.labels["kubevirt.io/created-by"]`) == vmi.UID() {
			return true
		}
	}
	return false
}

func copyOf(o kube.Object) (kube.Object, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	return kube.Decode(text)
}
