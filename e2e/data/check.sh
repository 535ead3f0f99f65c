#!/bin/bash
# check.sh: installs crds/ on the cluster of $KUBECONFIG and tries the manifests against it (../tools/manifests): those that must
# be accepted and those that must be refused, with the right words. Prints TAP. Leaves the CRDs, and nothing else.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
ns=check-$$ failed=0
out=$(mktemp)
trap 'kubectl delete namespace "$ns" --wait=false >/dev/null 2>&1; rm -f "$out"' EXIT

result() { # STATUS NAME
	if [ "$1" = 0 ]; then
		echo "ok - $2"
	else
		failed=1
		sed 's/^/# /' "$out"
		echo "not ok - $2"
	fi
}

kubectl apply --server-side --force-conflicts -f crds >"$out" 2>&1 &&
	kubectl wait --for=condition=Established --timeout=30s -f crds >>"$out" 2>&1
result $? "all CRDs are established"
kubectl create namespace "$ns" >"$out" 2>&1 || { cat "$out" >&2; exit 2; }

build/vmgpu-e2e manifests --namespace "$ns" --seeds 'e2e/data/seeds/00[03]-*.yaml' --refused e2e/data/refused \
	manifests/examples e2e/data/cozystack-manifests 'e2e/data/seeds/001-*.yaml' || failed=1

# Clients that ask for no strict validation (as kubectl does not either for a raw request) get a warning that names the path.
cat >"$out.json" <<J
{"apiVersion": "apps.cozystack.io/v1alpha1", "kind": "VMInstance", "metadata": {"name": "warned", "namespace": "$ns"},
 "spec": {"runStrategy": "Halted", "gpuss": [{"name": "nvidia.com/AD102GL_L40S"}]}}
J
kubectl create --raw "/apis/apps.cozystack.io/v1alpha1/namespaces/$ns/vminstances" -f "$out.json" >"$out" 2>&1 &&
	grep -qi 'warning.*unknown field "spec.gpuss"' "$out"
result $? "a client without strict validation is warned of an unknown field"
kubectl --namespace "$ns" delete vminstance warned >/dev/null 2>&1
rm -f "$out.json"
exit $failed
