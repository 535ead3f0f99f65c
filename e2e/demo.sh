#!/bin/bash
# demo.sh: the main job, from nothing: starts a control plane with KubeVirt and a guest with emulated GPUs, lets vmgpu-node scan them, applies the
# manifests of the seeds, and shows what became of them. It stays up for a look around until demo-down.sh. KEEP=0 takes it away at the end.
set -euo pipefail
prog=demo
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$top/e2e/lib.sh"
case ${1:-} in -h | --help) usage && exit 0 ;; esac
cd "$top"
# shellcheck disable=SC2154
state=$cache/demo
ns=tenant-demo node=gpu-node

step() { printf '\n\033[1m== %s\033[0m (%d s)\n' "$*" "$SECONDS"; }

# background NAME COMMAND...: runs until demo-down
background() {
	local name=$1
	shift
	detached "$@" >"$state/log/$name" 2>&1 </dev/null &
	echo $! >"$state/pid/$name"
	disown
}

# await SECONDS WHAT COMMAND...
await() {
	local end=$((SECONDS + $1)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		if [ $SECONDS -ge "$end" ]; then
			say "gave up waiting for $what; logs are in $state/log"
			tail -n 5 "$state"/log/* >&2 || true
			exit 1
		fi
		sleep 0.3
	done
}

build() {
	bash e2e/deps.sh --build --test
	timed "programs" make -s -j"$(nproc)" V=release
	timed "test tools" make -s build/vmgpu-e2e
}

start() {
	mkdir -p "$state/log" "$state/pid"
	timed "control plane" env NEIGHBOURS=newest bash e2e/cluster/up.sh "$state/cluster"
	# shellcheck source=/dev/null
	. "$state/cluster/env"
	timed "guest" env NODE=$node NVFAKE=driver=0 bash e2e/node/run.sh "$state/guest" "$KUBECONFIG"
	kubectl create namespace $ns >/dev/null
	kubectl apply --server-side -f e2e/data/instancetypes >/dev/null
}

guest() { bash e2e/node/guest.sh "$state/guest" "$@"; }

# What the kubelet would count is played: as many of each name as a scan in the guest finds there.
play() {
	local resources
	mapfile -t resources < <(guest "$top/build/release/vmgpu-node" --once --node-name $node -o json |
		python3 -c 'import json,sys,collections; [print("%s=%d" % c) for c in collections.Counter(u["name"] for u in json.load(sys.stdin)["status"]["units"]).items()]')
	background play build/vmgpu-e2e play --cdi "$state/cluster" $node "${resources[@]}"
	await 20 "the played node" kubectl get node $node
}

# The daemon writes nothing to sysfs: it looks, and reports.
scan() {
	# shellcheck disable=SC2016
	guest sh -c 'setsid "$0" --node-name '$node' --kubeconfig "$1" >/tmp/vmgpu-node.log 2>&1 </dev/null &' \
		"$top/build/release/vmgpu-node" "$state/guest/kubeconfig"
	await 60 "the node's report" sh -c "kubectl get gpunode $node -o jsonpath='{.status.units[0].name}' | grep -q ."
}

permitted() { kubectl -n kubevirt get kubevirt kubevirt -o json | python3 -c '
import json,sys
p = json.load(sys.stdin)["spec"]["configuration"].get("permittedHostDevices")
print("  absent" if p is None else "  {}" if not p else "\n".join("  %-16s %-12s %-34s external=%s" % (k, e.get("pciVendorSelector", e.get("mdevNameSelector")), e["resourceName"], e.get("externalResourceProvider", False)) for k in p for e in p[k]))'; }

stop() { bash e2e/demo-down.sh; }

bash e2e/demo-down.sh
step "Building what is not built yet"
build
step "A control plane with KubeVirt, and a node with GPUs"
start
step "vmgpu-node looks at the node's cards and reports"
play
scan
kubectl get gpunodes -o wide
echo
guest lspci -nn | grep -iE 'nvidia|3D|VGA' | sed 's/^/  lspci: /'
step "vmgpu-controller starts; the KubeVirt CR permits before:"
permitted
background controller build/release/vmgpu-controller --kubeconfig "$state/cluster/kubeconfig" --leader-elect-namespace default --worker-image "registry.example.com/worker:{minor}" --metrics-bind-address=0 --health-probe-bind-address=0
step "The seeds' manifests are applied; what the API server forces on them:"
python3 e2e/demo.py prepare e2e/data/seeds "$state/manifests" $ns
kubectl apply -f "$state/manifests" >/dev/null
python3 e2e/demo.py await $ns 60
step "What they became"
python3 e2e/demo.py table $ns "$state/manifests"
step "The KubeVirt CR permits now:"
permitted
step "Done. Look around:  . $state/cluster/env; kubectl -n $ns get vminstances.apps.cozystack.io,vm,vmi,pods.  Take it away: make demo-down"
[ "${KEEP:-1}" = 1 ] || stop
