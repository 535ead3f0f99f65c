# e2e/chart-rights.sh: what the service accounts of the chart may do, and may not; sourced by chart.sh, whose $ns, $state and $work it uses.
# shellcheck shell=bash disable=SC2154

# may_only: makes the command $work/as, which runs the controller with the token of the chart's service account, and nothing else
may_only() {
	cat >"$work/as" <<A
#!/bin/bash
# as KUBECONFIG ARGUMENT...
sed "s/token: .*/token: $(kubectl -n $ns create token vmgpu-controller --duration=6h)}}]/" "\$1" >"\$1.as"
exec $top/build/dev/vmgpu-controller --kubeconfig "\$1.as" --leader-elect-namespace=$ns --metrics-bind-address=0 --health-probe-bind-address=0 "\${@:2}"
A
	chmod 700 "$work/as"
}
run_scenarios() { # NAME...
	tool scenario --state "$state" --out "$work/scenarios" --lease 12s --controller "$work/as {kubeconfig} --lease-duration={lease} --renew-deadline={renew} --renew-period={period} --retry-period={retry} --worker-image=registry.example.com/worker:{minor}" \
		"${@/#/e2e/scenarios/}"
}

# without RESOURCE VERB: takes it from the controller's role
without() {
	kubectl get clusterrole vmgpu-controller -o json | python3 -c '
import json, sys
role = json.load(sys.stdin)
for r in role["rules"]:
    if sys.argv[1] in r["resources"] and sys.argv[2] in r["verbs"]:
        r["verbs"].remove(sys.argv[2])
role["rules"] = [r for r in role["rules"] if r["verbs"]]
json.dump(role, sys.stdout)' "$1" "$2" | kubectl replace -f - >/dev/null
}
# needed RESOURCE VERB SCENARIO: without it that scenario fails
needed() {
	local rc=0
	kubectl get clusterrole vmgpu-controller -o json >"$work/role"
	without "$1" "$2" && ! run_scenarios "$3" >"$work/without" || rc=1
	kubectl replace --force -f "$work/role" >/dev/null
	return $rc
}
may() { [ "$(kubectl auth can-i "$2" "$3" -A --as="system:serviceaccount:$ns:vmgpu-$1" 2>/dev/null)" = "$4" ]; } # WHO VERB RESOURCE yes|no
reads_no_secret() { may controller get secrets no && may controller list secrets no && may controller watch secrets no; }
runs_nothing() { may controller create pods no && may controller create pods/exec no && may controller impersonate users no && may controller escalate clusterroles no; }
node_may_not() {
	may node delete gpunodes no && may node get secrets no && may node list pods no && may node list nodes no && may node patch nodes no &&
		may node list virtualmachines.kubevirt.io no && may node patch kubevirts.kubevirt.io no
}

rights() {
	may_only
	it "as its own service account the controller does what scenarios say: machines, Secrets, Harvester's objects, pools, clusters, the KubeVirt CR" \
		run_scenarios {gpus-repeated,taken-secret,permit-admin,harvester-claim,gpupool,seed-vm,seed-kubernetes}.yaml
	it "without one verb it does not: create of KubeVirt's VMs" needed virtualmachines create gpus-repeated.yaml
	it "nor without another: patch of Secrets" needed secrets patch taken-secret.yaml
	it "it may not read a Secret" reads_no_secret
	it "nor run something, or be somebody else" runs_nothing
	it "a daemon may read neither machines nor Secrets, and delete nothing" node_may_not
}

# --- policies: what RBAC cannot say ----------------------------------------------------------------------------------------------

token() { kubectl -n $ns create token "vmgpu-$1" "${@:2}"; }
of_node() { token node --bound-object-kind Node --bound-object-name "$1" --bound-object-uid "$(kubectl get node "$1" -o 'jsonpath={.metadata.uid}')"; }
as() { kubectl --token="$(cat "$work/$1.token")" "${@:2}"; } # WHO ARGUMENT...
# raw WHO METHOD PATH [BODY]: as kubectl's patch and delete, but without the look before it, for which the right is missing
raw() {
	local code
	code=$(curl -s --cacert "$state/pki/ca.crt" -H "Authorization: Bearer $(cat "$work/$1.token")" -H 'Content-Type: application/merge-patch+json' -o "$work/answer" \
		-w '%{http_code}' -X "$2" "https://127.0.0.1:$(cat "$state/port")$3" ${4:+-d "$4"})
	cat "$work/answer"
	[ "${code:0:1}" = 2 ]
}
# denied WORDS COMMAND...: it fails, and says that
denied() {
	! "${@:2}" >"$work/denied" 2>&1 && grep -qF -- "$1" "$work/denied" || { cat "$work/denied" && return 1; }
}

gpu_node() { # NAME OWNER [SPEC]
	printf '{"apiVersion": "vmgpu.io/v1alpha1", "kind": "GPUNode", "metadata": {"name": "%s", "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "%s", "uid": "%s"}]}%s}' \
		"$1" "$2" "$(kubectl get node "$2" -o 'jsonpath={.metadata.uid}')" "${3:+, \"spec\": $3}" >"$work/gpunode.json"
}
beat() { # NAME
	printf '{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "%s", "namespace": "%s", "labels": {"vmgpu.io/beat": "true"}}, "spec": {"holderIdentity": "x", "leaseDurationSeconds": 40}}' \
		"$1" $ns >"$work/lease.json"
}
makes() { as "$1" create -f "$work/$2.json"; } # WHO gpunode|lease
merges() { raw "$1" PATCH "/apis/vmgpu.io/v1alpha1/gpunodes/$2?fieldManager=vmgpu" "$3"; } # WHO NAME[/status] PATCH

own_node() {
	gpu_node policy-a policy-a && makes a gpunode && merges a policy-a/status '{"status": {"observedTerm": 1}}' && merges a policy-a '{"metadata": {"labels": {"a": "b"}}}'
}
own_lease() { beat node-policy-a && makes a lease && as a -n $ns get lease node-policy-a -o json | sed 's/"holderIdentity": "x"/"holderIdentity": "y"/' | as a replace -f -; }
another_node() {
	local says='vmgpu-node of node policy-a writes policy-a, nothing else'
	gpu_node policy-c policy-a && denied "$says" makes a gpunode && denied "$says" merges a policy-b/status '{"status": {"observedTerm": 1}}' &&
		denied "$says" merges a policy-b '{"metadata": {"labels": {"a": "b"}}}'
}
another_lease() {
	local says='vmgpu-node of node policy-a writes node-policy-a, nothing else'
	beat node-policy-b && denied "$says" makes a lease && beat vmgpu-controller && denied "$says" makes a lease && beat leader && kubectl create -f "$work/lease.json" >/dev/null &&
		denied "$says" eval "kubectl -n $ns get lease leader -o json | as a replace -f -"
}
orders() {
	local says="spec is the controller's orders"
	denied "$says" merges a policy-a '{"spec": {"term": 9}}' && merges admin policy-a '{"spec": {"term": 3}}' && denied "$says" merges a policy-a '{"spec": {"term": 9}}' &&
		kubectl delete gpunode policy-a && gpu_node policy-a policy-a '{"term": 9}' && denied "$says" makes a gpunode
}
anothers_child() { gpu_node policy-a policy-b && denied "what vmgpu-node writes belongs to its Node" makes a gpunode; }
no_claim() {
	local says='the token of vmgpu-node was made for no node'
	gpu_node policy-a policy-a && denied "$says" makes none gpunode && denied "$says" merges none policy-b/status '{"status": {"observedTerm": 1}}' &&
		beat node-policy-b && denied "$says" makes none lease
}

secret() { # NAME MANAGER [OWNER-UID [TYPE [KEY]]]
	cat >"$work/secret.json" <<J
{"apiVersion": "v1", "kind": "Secret", "type": "${4:-Opaque}", "metadata": {"name": "$1", "namespace": "policy",
"labels": {"app.kubernetes.io/managed-by": "$2", "app.kubernetes.io/instance": "vm-instance-one"}, "annotations": {"kubernetes.io/service-account.name": "default"}
$([ -z "${3:-}" ] || echo ", \"ownerReferences\": [{\"apiVersion\": \"apps.cozystack.io/v1alpha1\", \"kind\": \"VMInstance\", \"name\": \"one\", \"uid\": \"$3\", \"controller\": true}]")},
"stringData": {"${5:-key}": "precious"}}
J
}
put() { as controller create -f "$work/secret.json"; }
# What the controller does before it writes: a patch of nothing that is not carried out. Its answer has the Secret in it
secrets=/api/v1/namespaces/policy/secrets
look() { raw controller PATCH "$secrets/$1?dryRun=All&fieldManager=vmgpu" '{}'; }
bend() { raw controller PATCH "$secrets/$1?fieldManager=vmgpu" "$2"; }
drop() { raw controller DELETE "$secrets/$1"; }
theirs_stays() { # NAME
	local says="Secret $1 is somebody else's:"
	denied "$says" look "$1" && ! grep -q "$(printf precious | base64)" "$work/denied" && denied "$says" bend "$1" '{"data": {"key": null}}' &&
		denied "$says" drop "$1"
}
own_secrets() {
	local suffix
	for suffix in ssh-keys cloud-init network-config; do
		secret "vm-instance-one-$suffix" vmgpu "$one" && put && bend "vm-instance-one-$suffix" '{"data": {"more": "eA=="}}' && look "vm-instance-one-$suffix" || return 1
	done
	drop vm-instance-one-network-config
}
other_secrets() {
	secret other vmgpu "$one" && denied "Secret other is somebody else's" put && secret vm-instance-two-ssh-keys vmgpu "$one" && denied "somebody else's" put &&
		secret vm-instance-one-ssh-keys-2 vmgpu "$one" && denied "somebody else's" put && secret vm-instance-one-network-config vmgpu && denied "somebody else's" put &&
		secret vm-instance-one-network-config me "$one" && denied "somebody else's" put
}
no_token() { secret vm-instance-one-network-config vmgpu "$one" kubernetes.io/service-account-token && denied "somebody else's" put; }
others_stay() {
	secret theirs me && kubectl create -f "$work/secret.json" && theirs_stays theirs && secret vm-instance-two-cloud-init vmgpu && kubectl create -f "$work/secret.json" &&
		theirs_stays vm-instance-two-cloud-init && kubectl -n policy create secret generic vm-instance-three-ssh-keys --from-literal=key=precious && theirs_stays vm-instance-three-ssh-keys
}
owner_stays() { denied "it stays with its owner" bend vm-instance-one-ssh-keys '{"metadata": {"ownerReferences": [{"apiVersion": "apps.cozystack.io/v1alpha1", "kind": "VMInstance", "name": "one", "uid": "another", "controller": true}]}}'; }
adopted() {
	secret vm-instance-one-network-config Helm && kubectl create -f "$work/secret.json" && look vm-instance-one-network-config >"$work/set" &&
		bend vm-instance-one-network-config "{\"metadata\": {\"labels\": {\"app.kubernetes.io/managed-by\": \"vmgpu\"}, \"ownerReferences\": [{\"apiVersion\": \"apps.cozystack.io/v1alpha1\", \"kind\": \"VMInstance\", \"name\": \"one\", \"uid\": \"$one\", \"controller\": true}]}}"
}

# pod SPEC: a pod of this namespace, as JSON, with what the DaemonSet's has changed by a line of Python on it (s) and its hands (c)
pod() {
	kubectl -n $ns get daemonset vmgpu-node -o json | python3 -c '
import json, sys
s = json.load(sys.stdin)["spec"]["template"]["spec"]
c = s["containers"][0]
exec(sys.argv[1])
json.dump({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "forged", "namespace": sys.argv[2]}, "spec": s}, sys.stdout)' "$1" $ns >"$work/pod.json"
	kubectl create --dry-run=server -f "$work/pod.json"
}
image='runs vmgpu-node, of the image of this release, and nothing else' folder='the folders of its node that vmgpu-node needs, and no others'
capability='the capabilities that vmgpu-node needs, and no others'
daemon_pods() { kubectl -n $ns get pods -l app.kubernetes.io/name=vmgpu-node -o name | grep -q . && pod 'pass'; }
other_images() { denied "$image" pod 'c["image"] = "busybox:1"' && denied "$image" pod 's["initContainers"][0]["image"] = "busybox:1"' && denied "$image" pod 'c["name"] = "driver"; c["image"] = "busybox:1"'; }
other_programs() { denied "$image" pod 'c["command"] = ["/bin/sh"]' && denied "$image" pod 'del c["command"]'; }
other_folders() { denied "$folder" pod 's["volumes"][0]["hostPath"]["path"] = "/etc"' && denied "$folder" pod 's["volumes"].append({"name": "x", "hostPath": {"path": "/"}})'; }
other_rights() {
	denied "$capability" pod 'c["securityContext"]["capabilities"]["add"] = ["SYS_ADMIN"]' && denied "$capability" pod 'c["securityContext"]["capabilities"]["add"] = ["SYS_PTRACE"]' &&
		denied "$capability" pod 'c["securityContext"]["privileged"] = True; c["securityContext"].pop("allowPrivilegeEscalation")' && denied "$capability" pod 'del c["securityContext"]["capabilities"]' &&
		denied "$capability" pod 's["hostIPC"] = True'
}
thief() { denied "$image" pod 's.clear(); s.update(serviceAccountName="vmgpu-node", containers=[{"name": "c", "image": "busybox:1"}])'; }
spy() { denied "$image" pod 's.clear(); s.update(hostPID=True, containers=[{"name": "c", "image": "busybox:1"}])'; }
a_daemon() { kubectl -n $ns get pods -l app.kubernetes.io/name=vmgpu-node -o name | head -1 | cut -d/ -f2; }
looks_inside() {
	kubectl -n $ns get pod "$(a_daemon)" -o json | python3 -c '
import json, sys
p = json.load(sys.stdin)
p["spec"]["ephemeralContainers"] = [{"name": "debug", "image": "busybox:1"}]
json.dump(p, sys.stdout)' >"$work/pod.json"
	denied "$image" kubectl replace --raw "/api/v1/namespaces/$ns/pods/$(a_daemon)/ephemeralcontainers" -f "$work/pod.json"
}
changes_image() { denied "$image" kubectl -n $ns set image "pod/$(a_daemon)" hands=busybox:1; }
free_pods() { pod 's.clear(); s.update(containers=[{"name": "c", "image": "busybox:1"}])'; }

policies() {
	local one
	kubectl create namespace policy >/dev/null
	printf '{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "policy-%s"}}\n' a b | kubectl create -f - >/dev/null
	kubectl -n policy create -f - >/dev/null <<'Y'
apiVersion: apps.cozystack.io/v1alpha1
kind: VMInstance
metadata: {name: one}
spec: {runStrategy: Halted}
Y
	one=$(kubectl -n policy get vminstances.apps.cozystack.io one -o 'jsonpath={.metadata.uid}')
	of_node policy-a >"$work/a.token" && token node >"$work/none.token" && token controller >"$work/controller.token" && sed -n 's/.*Bearer //p' "$state/pki/authorization" >"$work/admin.token"
	gpu_node policy-b policy-b '{"term": 1}' && kubectl create -f "$work/gpunode.json" >/dev/null
	it "a daemon makes its own GPUNode, and reports in it" own_node
	it "and its own Lease" own_lease
	it "no other node's GPUNode is made, changed or reported in" another_node
	it "no other node's Lease, nor a leader's" another_lease
	it "it does not write its own orders" orders
	it "what it makes is not another Node's child" anothers_child
	it "a token of its account that was made for no node writes nothing" no_claim
	it "the controller writes the Secrets of a machine, by their names" own_secrets
	it "no others: of another name, another machine's, nobody's, another manager's" other_secrets
	it "none that would become a service account's token" no_token
	it "what is there and not its own is neither read, by a patch of nothing, nor changed or deleted" others_stay
	it "its own it does not give to another owner" owner_stays
	it "what Cozystack's chart left of the machine is adopted" adopted
	it "the DaemonSet's pods are admitted" within 20 daemon_pods
	it "with another image none is, also not as the driver's" other_images
	it "nor with another program" other_programs
	it "nor with other folders of the node" other_folders
	it "nor with more capabilities, or privileged" other_rights
	it "nor is another pod with the daemon's account" thief
	it "nor one that sees the node's processes" spy
	it "nobody gets into a daemon's pod by an ephemeral container" looks_inside
	it "nor by another image for one that runs" changes_image
	it "a pod without rights on its node is nobody's matter" free_pods
	kubectl delete namespace policy --wait=false >/dev/null
	kubectl delete node policy-a policy-b >/dev/null
	kubectl -n $ns delete lease leader >/dev/null
}
