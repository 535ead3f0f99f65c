#!/bin/bash
# demo.sh: the main job, from nothing: starts a control plane with KubeVirt and a guest with emulated GPUs as its node, lets vmgpu-node find them, bind
# them and give them to the node's kubelet, applies the manifests of the seeds, shows what became of them, and takes a GPU back. It stays up for a look
# around until demo-down.sh. KEEP=0 takes it away at the end.
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
vms=/apis/subresources.kubevirt.io/v1/namespaces/$ns/virtualmachines
# The Go command counts its own use in the folder of configurations: that is to lie in the cache too. Its settings stay where they are.
export GOENV=${GOENV:-${XDG_CONFIG_HOME:-$HOME/.config}/go/env} XDG_CONFIG_HOME=$cache/config

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
	# Both are started beside each other, so what they need is made before.
	timed "control plane's programs" bash e2e/cluster/build.sh etcd kubernetes kubelet nodekit kubevirt >/dev/null
	timed "guest's kernel and files" env KUBELET=1 bash e2e/node/setup.sh >/dev/null
}

# The guest of e2e/node/run.sh, without the vendor's driver, with cards that have a reset, and with two more in ports of their own, so that four of
# the five machines that the seeds ask for find their GPUs, and one has to wait.
boot() {
	local mask=0000:01:00.0=10de:26b9:030200,0000:01:00.1=10de:22ba:040300,0000:02:00.0=10de:20b5:030200
	mask+=,0000:03:00.0=10de:2236:030200,0000:04:00.0=10de:26b9:030200,0000:05:00.0=10de:20b5:030200
	mask+=,0000:81:00.0=10de:2321:030200,0000:84:00.0=10de:1eb8:030200,0000:85:00.0=10de:1eb8:030200
	NODE=$node KUBELET=1 MEM=16384 NVFAKE=driver=0 MASK=$mask CARD=nvme,serial=card QEMU_ARGS="-device pcie-root-port,id=rp6,bus=pcie.0,addr=2.3,chassis=8,slot=8 \
		-device nvme,serial=card,bus=rp6 -device pcie-root-port,id=rp7,bus=pcie.0,addr=2.4,chassis=9,slot=9 -device nvme,serial=card,bus=rp7" \
		bash e2e/node/run.sh "$state/guest"
}

guest() { bash e2e/node/guest.sh "$state/guest" "$@"; }

start() {
	local guest_pid
	mkdir -p "$state/log" "$state/pid"
	timed "guest" boot &
	guest_pid=$!
	timed "control plane" env NEIGHBOURS=newest bash e2e/cluster/up.sh "$state/cluster"
	# kubectl finds its plugin there.
	printf 'export PATH=%q:$PATH\n' "$top/build/release" >>"$state/cluster/env"
	# shellcheck source=/dev/null
	. "$state/cluster/env"
	wait "$guest_pid"
	timed "the guest is a node" bash e2e/node/join.sh "$state/guest" "$state/cluster"
	kubectl create namespace $ns >/dev/null
	kubectl apply --server-side -f e2e/data/instancetypes >/dev/null
	# What stands in for a machine in its launcher needs neither the machine's memory nor its CPUs.
	kubectl -n kubevirt patch kubevirt kubevirt --type=merge -p '{"spec": {"configuration": {"developerConfiguration": {"memoryOvercommit": 3200, "cpuAllocationRatio": 1000}}}}' >/dev/null
	background cdi build/vmgpu-e2e play --cdi "$state/cluster"
}

# It reports; what it is to do with the cards the controller says later.
scan() {
	# shellcheck disable=SC2016
	guest sh -c 'setsid "$0" --node-name '$node' --lease-namespace default --kubeconfig "$1" >/tmp/vmgpu-node.log 2>&1 </dev/null &' \
		"$top/build/release/vmgpu-node" "$state/guest/kubeconfig"
	await 180 "the node's report" sh -c "kubectl get gpunode $node -o jsonpath='{.status.units[0].name}' | grep -q ."
}

# ADDRESS GROUP DRIVER WORDS of each function that lspci calls NVIDIA's
look() {
	# shellcheck disable=SC2016
	guest sh -c 'lspci -Dnnk -d 10de: | awk "/^[0-9a-f]/ {a=\$1; \$1=\"\"; w=\$0; sub(/^ /, \"\", w); sub(/ \\(rev .*/, \"\", w); o[++n]=a; words[a]=w; d[a]=\"none\"} /in use/ {d[a]=\$NF} END {for (i=1; i<=n; i++) print o[i], d[o[i]], words[o[i]]}" |
		while read -r a d w; do g=$(readlink "/sys/bus/pci/devices/$a/iommu_group"); echo "$a ${g##*/} $d $w"; done'
}

controller() {
	background controller build/release/vmgpu-controller --kubeconfig "$state/cluster/kubeconfig" --leader-elect-namespace default \
		--metrics-bind-address=0 --health-probe-bind-address=0 --worker-image='registry.example.com/worker:{minor}'
}

# counted: every GPU that is bound is one that the kubelet lets pods have
counted() { [ "$(kubectl get node $node -o jsonpath='{.status.allocatable}' | python3 -c 'import json,sys; print(sum(int(v) for k, v in json.load(sys.stdin).items() if k.startswith("nvidia.com/")))')" = "${1:-}" ]; }

# vfioprobe: what the launchers say of the devices that they have opened
inside() {
	local pod
	for pod in $(kubectl -n $ns get pods -l kubevirt.io=virt-launcher --field-selector status.phase=Running -o name); do
		kubectl -n $ns logs "$pod" -c compute | sed "s#^#  ${pod#pod/}: #"
	done
}

scheduled() { kubectl -n $ns get pods -l kubevirt.io=virt-launcher -o 'jsonpath={.items[*].spec.nodeName}' | grep -q .; }
runs_all() { [ "$(kubectl -n $ns get vminstances.apps.cozystack.io -o 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}')" = 'True True True True' ]; }
is_free() { [ -z "$(kubectl get gpunode $node -o jsonpath="{.status.units[?(@.holder.vm==\"$1\")].id}")" ]; }

bash e2e/demo-down.sh
step "Building what is not built yet"
build
step "A control plane with KubeVirt, and a guest with emulated GPUs as its node"
start
step "vmgpu-node looks at the guest's cards and reports: no driver has them"
scan
look | python3 e2e/demo.py cards $node
echo
kubectl get gpunodes | sed 's/^/  /'
step "The KubeVirt CR before vmgpu-controller starts"
python3 e2e/demo.py permitted
controller
await 180 "the GPUs to be counted" counted 7
step "vmgpu-controller has ordered them for virtual machines: vmgpu-node has brought them to vfio-pci, the kubelet counts them"
look | python3 e2e/demo.py cards $node
echo
kubectl describe node $node | sed -n '/^Allocatable/,/^System/p' | grep nvidia
step "The seeds' manifests, changed where the API server forces it"
python3 e2e/demo.py prepare e2e/data/seeds "$state/manifests"
kubectl -n $ns apply --server-side -f "$state/manifests/000-vm-gpu.yaml" >/dev/null
await 180 "its launcher to find a node" scheduled # there are more machines than L40S: this one shall not be who waits
kubectl -n $ns apply --server-side -f "$state/manifests" >/dev/null
python3 e2e/demo.py await $ns 240
step "What they became"
python3 e2e/demo.py table $ns "$state/manifests"
step "In the launcher pods, on the guest: what they opened, mapped and reset"
inside
step "The KubeVirt CR now"
python3 e2e/demo.py permitted
step "Who has which GPU"
python3 e2e/demo.py uses $node
step "The virtual machine of 000-vm-gpu.yaml is deleted: its GPU is reset, and the machine that waited gets it"
before=$SECONDS
kubectl -n $ns delete virtualmachines.apps.cozystack.io vm-gpu >/dev/null
await 180 "its GPU to be free" is_free virtual-machine-vm-gpu
echo "  free after $((SECONDS - before)) s"
await 180 "the machine that waited" runs_all
python3 e2e/demo.py uses $node
step "Done"
cat <<T
  look around:   . $state/cluster/env
                 kubectl get gpunodes -o wide; kubectl vmgpu get gpus
                 kubectl -n $ns get vminstances.apps.cozystack.io,vm,vmi,pods
  restart one:   echo '{}' | kubectl replace --raw $vms/vm-instance-h100/restart -f -
                 (what virtctl would send, which is not part of the demo; stop and start likewise)
  logs:          $state/log, $state/cluster/log; of vmgpu-node:
                 bash e2e/node/guest.sh $state/guest cat /tmp/vmgpu-node.log
  take it away:  make demo-down

  "served from outside": externalResourceProvider: true, that is, not KubeVirt but another program serves these devices to the kubelet: vmgpu-node.
  Kubelet and containers on the guest are real. Played are virt-handler and, in the launcher pods, QEMU: vfioprobe opens the devices as QEMU would.
T
[ "${KEEP:-1}" = 1 ] || bash e2e/demo-down.sh
