package play

import (
	"context"

	"vmgpu.io/e2e/kube"
)

// pod does what the kubelet does: a pod that is bound to the node runs, one that is deleted goes.
func (p *Player) pod(ctx context.Context, pod kube.Object) error {
	node := pod.Str("spec.nodeName")
	if _, ours := p.nodes[node]; !ours {
		return nil
	}
	path := "/api/v1/namespaces/" + pod.Namespace() + "/pods/" + pod.Name()
	if pod.Deleting() {
		return p.client.Delete(ctx, path, m{"gracePeriodSeconds": 0})
	}
	if pod.Str("status.phase") != "Pending" || p.order(holdAnnotation, pod, "node "+node) != "" {
		return nil
	}
	status := running(pod)
	if reason := p.order(failAnnotation, pod, "node "+node); reason != "" {
		status = refused(reason)
	}
	_, err := p.client.Merge(ctx, path+"/status", m{"status": status})
	return err
}

// refused is what a kubelet writes that cannot take a pod, for instance since the device plugin's Allocate failed.
func refused(reason string) m {
	return m{"phase": "Failed", "reason": reason, "message": "Pod was rejected: Allocate failed, which is unexpected (played)", "startTime": now()}
}

func running(pod kube.Object) m {
	mine := []string{"Initialized", "ContainersReady", "Ready"}
	var conditions []any
	for _, c := range pod.Objects("status.conditions") {
		if t := c.Str("type"); t != mine[0] && t != mine[1] && t != mine[2] {
			conditions = append(conditions, c)
		}
	}
	for _, t := range mine {
		conditions = append(conditions, m{"type": t, "status": "True", "lastTransitionTime": now()})
	}
	var containers, inits []m
	for _, c := range pod.Objects("spec.containers") {
		containers = append(containers, container(c, true))
	}
	for _, c := range pod.Objects("spec.initContainers") {
		inits = append(inits, container(c, c.Str("restartPolicy") == "Always"))
	}
	return m{"phase": "Running", "startTime": now(), "podIP": "10.244.0.5", "podIPs": []m{{"ip": "10.244.0.5"}}, "conditions": conditions,
		"containerStatuses": containers, "initContainerStatuses": inits}
}

func container(c kube.Object, stays bool) m {
	state := m{"terminated": m{"exitCode": 0, "reason": "Completed", "startedAt": now(), "finishedAt": now()}}
	if stays {
		state = m{"running": m{"startedAt": now()}}
	}
	return m{"name": c["name"], "image": c["image"], "imageID": "", "containerID": "played://" + c.Str("name"), "ready": true, "started": stays,
		"restartCount": 0, "state": state}
}
