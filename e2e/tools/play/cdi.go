package play

import (
	"context"

	"vmgpu.io/e2e/kube"
)

const pvLabel = "play.vmgpu.io/volume"

// dataVolume does what CDI does: a volume that is bound, with nothing in it, and the word that all is done.
func (p *Player) dataVolume(ctx context.Context, dv kube.Object) error {
	if dv.Deleting() || dv.Str("status.phase") == "Succeeded" || p.order(holdAnnotation, dv, "namespace "+dv.Namespace()) != "" {
		return nil
	}
	if err := p.bind(ctx, dv); err != nil {
		return err
	}
	ready := []m{{"type": "Ready", "status": "True", "lastTransitionTime": now(), "lastHeartbeatTime": now(), "reason": "", "message": ""}}
	_, err := p.client.Merge(ctx, "/apis/cdi.kubevirt.io/v1beta1/namespaces/"+dv.Namespace()+"/datavolumes/"+dv.Name()+"/status",
		m{"status": m{"phase": "Succeeded", "progress": "100.0%", "claimName": dv.Name(), "conditions": ready}})
	return err
}

// bind makes a volume and its claim; kube-controller-manager marks both Bound.
func (p *Player) bind(ctx context.Context, dv kube.Object) error {
	wish, _ := dv.Get("spec.storage").(map[string]any)
	if wish == nil {
		wish, _ = dv.Get("spec.pvc").(map[string]any)
	}
	class := kube.Object(wish).Str("storageClassName")
	size := kube.Object(wish).Str("resources.requests.storage")
	if size == "" {
		size = "1Gi"
	}
	modes := kube.Object(wish).List("accessModes")
	if modes == nil {
		modes = []any{"ReadWriteOnce"}
	}
	volume := "played-" + dv.UID()
	owner := m{"apiVersion": dv["apiVersion"], "kind": "DataVolume", "name": dv.Name(), "uid": dv.UID(), "controller": true, "blockOwnerDeletion": true}
	_, err := p.client.Create(ctx, "/api/v1/persistentvolumes", m{"metadata": m{"name": volume, "labels": m{pvLabel: "played"}},
		"spec": m{"capacity": m{"storage": size}, "accessModes": modes, "storageClassName": class, "persistentVolumeReclaimPolicy": "Retain",
			"claimRef": m{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": dv.Namespace(), "name": dv.Name()}, "hostPath": m{"path": "/nowhere"}}})
	if err != nil && !kube.IsCode(err, 409) {
		return err
	}
	_, err = p.client.Create(ctx, "/api/v1/namespaces/"+dv.Namespace()+"/persistentvolumeclaims", m{"metadata": m{"name": dv.Name(), "ownerReferences": []m{owner}},
		"spec": m{"accessModes": modes, "storageClassName": class, "volumeName": volume, "resources": m{"requests": m{"storage": size}}}})
	if err != nil && !kube.IsCode(err, 409) {
		return err
	}
	return nil
}

// volume removes what bind made once its claim is gone.
func (p *Player) volume(ctx context.Context, pv kube.Object) error {
	if pv.Str("status.phase") != "Released" || pv.Deleting() {
		return nil
	}
	return p.client.Delete(ctx, "/api/v1/persistentvolumes/"+pv.Name(), nil)
}
