#!/bin/bash
# check.sh: installs crds/ on the cluster of $KUBECONFIG and tries the manifests against it: those that must be accepted
# (by strict validation, by server-side apply, and as a change that changes nothing) and those that must be refused, with
# the right words. Prints TAP. Leaves the CRDs, and nothing else.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
ns=check-$$ n=0 failed=0
out=$(mktemp) work=$(mktemp -d)
trap 'kubectl delete namespace "$ns" --wait=false >/dev/null 2>&1; rm -rf "$out" "$work"' EXIT

result() { # STATUS NAME
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n - $2"
	else
		failed=1
		sed 's/^/# /' "$out"
		echo "not ok $n - $2"
	fi
}
k() { kubectl --namespace "$ns" "$@" >>"$out" 2>&1; }

: >"$out"
kubectl apply --server-side --force-conflicts -f crds >>"$out" 2>&1 &&
	for f in crds/*.yaml; do
		kubectl wait --for=condition=Established --timeout=30s -f "$f" >>"$out" 2>&1 || exit 1
	done
result $? "all CRDs are established"
k create namespace "$ns" || { cat "$out" >&2; exit 2; }

accepted() { # FILE NAME
	: >"$out"
	k create --dry-run=server --validate=strict -f "$1" && k apply --server-side --dry-run=server -f "$1" &&
		k apply -f "$1" && k apply -f "$1" && ! grep -q 'configured' "$out"
	local status=$?
	kubectl --namespace "$ns" delete --wait=false -f "$1" >/dev/null 2>&1
	result "$status" "$2 is accepted"
}

refused() { # FILE
	local want docs=("$work"/*) status=0
	rm -f "$work"/*
	want=$(sed -n '1s/^# //p' "$1")
	awk -v d="$work" '/^---$/ { i++; next } { print > (d "/" i + 0 ".yaml") }' "$1"
	docs=("$work"/*)
	: >"$out"
	if [ ${#docs[@]} = 2 ]; then
		k apply -f "${docs[0]}" || status=1
	fi
	: >"$out"
	if k replace -f "${docs[-1]}"; then
		status=1
	fi
	if [ ${#docs[@]} = 1 ]; then
		: >"$out"
		! k create -f "${docs[0]}" || status=1
	fi
	grep -qF -- "$want" "$out" || status=1
	kubectl --namespace "$ns" delete --wait=false --ignore-not-found -f "${docs[0]}" >/dev/null 2>&1
	result "$status" "$(basename "$1" .yaml) is refused: $want"
}

for f in manifests/examples/*.yaml e2e/data/cozystack-manifests/*.yaml e2e/data/seeds/001-*.yaml; do
	accepted "$f" "$f"
done
# What a test has to change in the documents of others: a name where there is none; what the server sets, and status, taken off.
for f in e2e/data/seeds/00[03]-*.yaml; do
	sed -e '/^  creationTimestamp:/d; /^  generation:/d; /^  resourceVersion:/d; /^  uid:/d; /^status:/,$d' "$f" >"$work/in.yaml"
	grep -q '^metadata:' "$f" || printf 'metadata:\n  name: seed\n' >>"$work/in.yaml"
	cp "$work/in.yaml" "$out.yaml"
	accepted "$out.yaml" "$f"
	rm -f "$out.yaml"
done
for f in e2e/data/refused/*.yaml; do
	refused "$f"
done
# Clients that ask for no strict validation (as kubectl does not either for a raw request) get a warning that names the path.
cat >"$work/raw.json" <<J
{"apiVersion": "apps.cozystack.io/v1alpha1", "kind": "VMInstance", "metadata": {"name": "warned", "namespace": "$ns"},
 "spec": {"runStrategy": "Halted", "gpuss": [{"name": "nvidia.com/AD102GL_L40S"}]}}
J
: >"$out"
k create --raw "/apis/apps.cozystack.io/v1alpha1/namespaces/$ns/vminstances" -f "$work/raw.json" && grep -qi 'warning.*unknown field "spec.gpuss"' "$out"
result $? "a client without strict validation is warned of an unknown field"
kubectl --namespace "$ns" delete vminstance warned >/dev/null 2>&1
echo "1..$n"
exit $failed
