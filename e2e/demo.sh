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
	timed "control plane's programs" bash e2e/cluster/build.sh etcd kubernetes kubevirt >/dev/null
	timed "guest's kernel and files" bash e2e/node/setup.sh >/dev/null
}

# The guest of e2e/node/run.sh, without the vendor's driver, and with two more cards in ports of their own, so that four of the five
# machines that the seeds ask for find their GPUs, and one has to wait.
boot() {
	local mask=0000:01:00.0=10de:26b9:030200,0000:01:00.1=10de:22ba:040300,0000:02:00.0=10de:20b5:030200
	mask+=,0000:03:00.0=10de:2236:030200,0000:04:00.0=10de:26b9:030200,0000:05:00.0=10de:20b5:030200
	mask+=,0000:81:00.0=10de:2321:030200,0000:84:00.0=10de:1eb8:030200,0000:85:00.0=10de:1eb8:030200
	NODE=$node NVFAKE=driver=0 MASK=$mask QEMU_ARGS="-device pcie-root-port,id=rp6,bus=pcie.0,addr=2.3,chassis=8,slot=8 -device bochs-display,bus=rp6 \
		-device pcie-root-port,id=rp7,bus=pcie.0,addr=2.4,chassis=9,slot=9 -device bochs-display,bus=rp7" bash e2e/node/run.sh "$state/guest"
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
	sed 's#//127.0.0.1:#//10.0.2.2:#' "$KUBECONFIG" >"$state/guest/kubeconfig"
	kubectl create namespace $ns >/dev/null
	kubectl apply --server-side -f e2e/data/instancetypes >/dev/null
}

# What the kubelet would count is played: as many of each name as a scan in the guest finds there.
play() {
	local resources
	mapfile -t resources < <(guest "$top/build/release/vmgpu-node" --once --node-name $node -o json |
		python3 -c 'import json,sys,collections; [print("%s=%d" % c) for c in collections.Counter(u["name"] for u in json.load(sys.stdin)["status"]["units"]).items()]')
	background play build/vmgpu-e2e play --cdi "$state/cluster" $node "${resources[@]}"
	await 20 "the played node" kubectl get node $node
}

# It reports; what it is to do with the cards the controller says later.
scan() {
	# shellcheck disable=SC2016
	guest sh -c 'setsid "$0" --node-name '$node' --kubeconfig "$1" >/tmp/vmgpu-node.log 2>&1 </dev/null &' \
		"$top/build/release/vmgpu-node" "$state/guest/kubeconfig"
	await 60 "the node's report" sh -c "kubectl get gpunode $node -o jsonpath='{.status.units[0].name}' | grep -q ."
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

bash e2e/demo-down.sh
step "Building what is not built yet"
build
step "A control plane with KubeVirt, and beside it a guest with emulated GPUs"
start
step "vmgpu-node looks at the guest's cards and reports"
play
scan
look | python3 e2e/demo.py cards $node
echo
kubectl get gpunodes | sed 's/^/  /'
step "The KubeVirt CR before vmgpu-controller starts"
python3 e2e/demo.py permitted
controller
step "The seeds' manifests, changed where the API server forces it"
python3 e2e/demo.py prepare e2e/data/seeds "$state/manifests"
kubectl -n $ns apply --server-side -f "$state/manifests" >/dev/null
python3 e2e/demo.py await $ns 60
step "What they became"
python3 e2e/demo.py table $ns "$state/manifests"
step "The guest's cards now: the controller ordered them for virtual machines, vmgpu-node brought them to vfio-pci"
look | python3 e2e/demo.py cards $node
step "The KubeVirt CR now"
python3 e2e/demo.py permitted
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

  "served from outside": externalResourceProvider: true, that is, not KubeVirt but another program serves these devices to the kubelet. Here the
  player does, by numbers alone: no machine runs on the guest.
T
[ "${KEEP:-1}" = 1 ] || bash e2e/demo-down.sh
