# e2e/supply-lib.sh: a node whose GPUs vmgpu-node gives to a real kubelet, for supply.sh and races.sh; sourced after lib.sh.
# The kubelet is that of cluster/kubelet.sh, the machine a tree of files (bench/mktree.py), the orders are a controller's.
# shellcheck shell=bash disable=SC2034,SC2154

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$top" || exit 1
V=${V:-dev}
make -s V=dev build/dev/vmgpu-controller && make -s V="$V" "build/$V/vmgpu-node" || exit 1
work=$(mktemp -d)
state=${STATE:-$work/cluster} tree=$work/tree
n=0 failed=0 controller=''

clean() {
	[ -z "$controller" ] || { kill -KILL "$controller" && wait "$controller"; } 2>/dev/null
	if [ -n "${STATE:-}" ]; then
		kubelet stop
		kubectl delete gpunodes --all >/dev/null
	else
		bash e2e/cluster/down.sh "$state"
	fi
	rm -rf "$work"
}
trap clean EXIT

kubelet() { bash e2e/cluster/kubelet.sh "$1" "$state" n1 "${@:2}"; }
get() { kubectl get gpunode n1 -o "jsonpath=$1" 2>/dev/null; }
after_failure() {
	get '{range .status.units[*]}{.id} {.driver} {.holder}: {.conditions[*].message}{"\n"}{end}{.status.conditions[*].message}{"\n"}' | sed 's/^/# /'
	tail -"${TAIL:-5}" "$state/log/node@n1" | sed 's/^/# node: /'
}
soon() { within 25 "$@"; }

# counts NAME=NUMBER...: so many of each the kubelet lets pods have
counts() {
	local pair have
	for pair; do
		have=$(kubectl get node n1 -o "jsonpath={.status.allocatable.nvidia\\.com/${pair%=*}}") || return 1
		[ "${have:-0}" = "${pair#*=}" ] || { echo "${pair%=*}: ${have:-none}" && return 1; }
	done
}

pod() { # NAME RESOURCE COUNT [MORE]: a pod that asks for so many (MORE: "OTHER: COUNT" besides), straight to the node
	kubectl create -f - >/dev/null <<Y
apiVersion: v1
kind: Pod
metadata: {name: $1}
spec:
  nodeName: n1
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: none, resources: {limits: {nvidia.com/$2: $3${4:+, $4}}}}]
Y
}
phase() { [ "$(kubectl get pod "$1" -o 'jsonpath={.status.phase}')" = "$2" ]; }
end_pod() { kubectl delete pod "$@" --wait=false >/dev/null; }
record() { cat "$state"/nodes/n1/runtime/containers/default_"$1"_main_*.json; }
variable() { record "$1" | grep -o "PCI_RESOURCE_NVIDIA_COM_$2=[^\"]*" | cut -d= -f2; } # POD NAME
holder() { [ "$(get "{.status.units[?(@.id==\"$1\")].holder.pod}")" = "$2" ]; }         # ADDRESS POD
device() { echo "$tree/sys/bus/pci/devices/$1"; }
# The kernel's events are real ones, of a device of this machine that they say nothing about.
event() { echo change >"$(find /sys/bus/pci/devices/ -mindepth 1 | head -1)/uevent"; }
unplug() { mv "$(device "$1")" "$work/unplugged" && event; }
plug() { mv "$work/unplugged" "$(device "$1")" && event; }
registered() { [ "$(lists)" -ge "$1" ]; }
lists() { grep -c 'lists the devices of a resource' "$state/log/node@n1"; }

# Who has what open is read from a tree, too: a test need not be allowed to look into all of this machine's processes.
processes() {
	mkdir -p "$work"/proc/{1/fd,self/ns}
	ln -s /dev/null "$work/proc/1/fd/0"
	: >"$work/proc/1/maps"
	: >"$work/proc/devices"
	ln -s 'pid:[4026531836]' "$work/proc/self/ns/pid"
}

start_daemon() { # FLAG...
	kubelet run node "$top/build/$V/vmgpu-node" --node-name n1 --kubeconfig "$KUBECONFIG" --lease-namespace default --beat-period 1s \
		--eyes-socket /var/lib/vmgpu/eyes.sock "$@"
}
start_eyes() { kubelet run eyes "$top/build/$V/vmgpu-node" observe --eyes-socket /var/lib/vmgpu/eyes.sock --proc-root "$work/proc"; }

# begin ARGUMENT...: of mktree.py, which cards there are
begin() {
	[ -n "${STATE:-}" ] || WITHOUT_KUBEVIRT=1 MANY=1 bash e2e/cluster/up.sh "$state" || return 1
	# shellcheck source=/dev/null
	. "$state/env"
	python3 e2e/bench/mktree.py "$tree" "$@" >/dev/null || return 1
	TREE=$tree kubelet start --v=2 || return 1
	build/dev/vmgpu-controller --kubeconfig "$KUBECONFIG" --leader-elect=false --metrics-bind-address=0 --health-probe-bind-address=0 >"$work/controller.log" 2>&1 &
	controller=$!
	processes
	start_eyes
	start_daemon
}
