package play

import (
	"context"
	"encoding/json"

	"vmgpu.io/e2e/kube"
)

// vmi does what virt-handler does: a VMI that is scheduled to the node runs, and ends with its launcher. Where pods are played, too, that
// is when it is deleted.
func (p *Player) vmi(ctx context.Context, vmi kube.Object) error {
	p.mu.Lock()
	handler := p.handlers[vmi.Str("status.nodeName")]
	pod := p.launcher(vmi)
	p.mu.Unlock()
	phase := vmi.Str("status.phase")
	want := nextPhase(phase, pod == nil || vmi.Deleting())
	if p.alone {
		want = phaseByLauncher(phase, pod)
	}
	if handler == nil || want == phase {
		return nil
	}
	if p.alone && pod == nil { // or the watch of pods has not told us yet
		if pods, err := p.client.Get(ctx, podsPath+"?labelSelector=kubevirt.io/created-by="+vmi.UID()); err != nil || len(pods.List("items")) > 0 {
			return err
		}
	}
	if p.alone && want == "Running" {
		if err := handDevices(p.root, pod.UID()); err != nil {
			return err
		}
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

// launcher is the pod of a VMI, or nil.
func (p *Player) launcher(vmi kube.Object) kube.Object {
	for key, o := range p.objects {
		if key[:4] == "pod " && o.Str(`metadata.labels["kubevirt.io/created-by"]`) == vmi.UID() {
			return o
		}
	}
	return nil
}

func copyOf(o kube.Object) (kube.Object, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	return kube.Decode(text)
}
