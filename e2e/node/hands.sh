#!/bin/bash
# hands.sh: orders carried out in a real kernel. The controller on a cluster orders what a node has, vmgpu-node in a guest brings its
# cards to vfio-pci and back, is killed while it does, and is given forged orders. Prints TAP.
#
# Variables:
#   V=dev|asan  build of vmgpu-node
#   QUICK=1     without the kills
#   TAIL=N      lines of the daemon's log after a failure (5)
set -uo pipefail
prog=node/hands.sh
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$here/../lib.sh"
# shellcheck source-path=SCRIPTDIR source=test-lib.sh
. "$here/test-lib.sh"
case ${1:-} in -h | --help) usage && exit 0 ;; esac
top=$(cd "$here/../.." && pwd)
cd "$top" || exit 1
V=${V:-dev}
make -s V=dev build/dev/vmgpu-controller && make -s V="$V" "build/$V/vmgpu-node" || exit 1
node=$top/build/$V/vmgpu-node
work=$(mktemp -d)
g=$work/guest
n=0 failed=0

clean() {
	[ -z "$controller" ] || kill -KILL "$controller" 2>/dev/null
	[ ! -d "$g" ] || bash e2e/node/stop.sh "$g"
	[ ! -d "$work/cluster" ] || bash e2e/cluster/down.sh "$work/cluster"
	rm -rf "$work"
}
trap clean EXIT

after_failure() {
	get '{range .status.units[*]}{.id} {.driver}: {.conditions[*].message}{"\n"}{end}{.status.conditions[*].message}{"\n"}' | sed 's/^/# /'
	guest 'tail -${TAIL:-5} /tmp/node.log' | sed 's/^/# log: /'
}

# drivers ADDRESS=DRIVER...: what the kernel says; "-" is none
drivers() {
	local all pair
	all=$(guest 'for d in /sys/bus/pci/devices/*; do l=$(readlink $d/driver); echo "${d##*/}=${l##*/}"; done')
	for pair; do grep -qx "${pair%-}" <<<"$all" || return 1; done
}
overrides() { [ "$(guest "cat /sys/bus/pci/devices/$1/driver_override")" = "$2" ]; }
answered() { [ "$(get '{.spec.term}')" = "$(get '{.status.observedTerm}')" ]; }

start_daemon() { guest "($node --node-name gpu-node --kubeconfig $g/kubeconfig --lease-namespace default --device-plugins= >>/tmp/node.log 2>&1; echo ended \$? >>/tmp/node.log) &"; }

# order WANT ADDRESS=DEVICE...: in the place of a controller
order() {
	local want=$1 units='' pair
	shift
	for pair; do units+="${units:+, }{\"id\": \"${pair%%=*}\", \"device\": \"${pair#*=}\", \"want\": \"$want\"}"; done
	kubectl patch gpunode gpu-node --type=merge -p "{\"spec\": {\"units\": [$units]}}" >/dev/null
}

taken=(0000:02:00.0=10de:20b5 0000:81:00.0=10de:2321 0000:84:00.0=10de:1eb8)
bound() { drivers 0000:02:00.0=vfio-pci 0000:81:00.0=vfio-pci 0000:84:00.0=vfio-pci 0000:85:00.0=vfio-pci; }
loose() { drivers 0000:02:00.0=- 0000:81:00.0=- 0000:84:00.0=- 0000:85:00.0=-; }

# hold NODE: a process in the guest that has it open; let_go ends it
hold() { guest "python3 -c 'import time; f = open(\"$1\", \"rb\"); time.sleep(600)' >/dev/null 2>&1 & echo \$! >/tmp/holder; sleep 1; kill -0 \$(cat /tmp/holder)"; }

obeyed() {
	hold /dev/snd/controlC0
	start_daemon
	start_controller
	it "cards that no driver has are brought to vfio-pci, both of a group" within 20 bound
	it "the report answers the orders" within 5 answered
	it "it says that they are obeyed" obeying 'True Obeying'
	it "a card whose audio function somebody uses is left, and the report says who" within 5 unit_says 0000:01:00.0 Available '0000:01:00.1.*process [0-9]* (python3)'
	it "that function keeps its driver" drivers 0000:01:00.0=- 0000:01:00.1=snd_hda_intel
	let_go
	it "once nobody uses it, both are taken" within 15 drivers 0000:01:00.0=vfio-pci 0000:01:00.1=vfio-pci
	stop_controller
}

given_back() {
	local group
	group=$(guest 'basename $(readlink /sys/bus/pci/devices/0000:81:00.0/iommu_group)')
	hold "/dev/vfio/$group"
	order host "${taken[@]}"
	it "a card that a process has open is not given back, and the report says who has it" within 10 unit_says 0000:81:00.0 Available 'process [0-9]* (python3)'
	it "and stays where it is" drivers 0000:81:00.0=vfio-pci
	let_go
	it "ordered to the host, the cards have what they had before: no driver" within 15 loose
	it "and no driver_override" overrides 0000:02:00.0 '(null)'
	order vfio "${taken[@]}"
	it "ordered to virtual machines, they are bound again" within 15 bound
}

# Between any two of its writes: it is killed after ever longer times, started again, and must come to the same end.
killed() {
	local i want=host
	for i in 01 03 08 15 30 50; do
		order $want "${taken[@]}"
		guest "p=\$(pidof vmgpu-node | cut -d\" \" -f1); sleep 0.$i; kill -KILL \$p; sleep 0.1"
		start_daemon
		if [ $want = host ]; then
			it "killed $((10#$i * 10)) ms after the order to give the cards back, and started again, it does" within 60 loose
			want=vfio
		else
			it "killed $((10#$i * 10)) ms after the order to bind the cards, and started again, it does" within 60 bound
			want=host
		fi
	done
}

let_loose() { guest "echo >/sys/bus/pci/devices/$1/driver_override; echo $1 >/sys/bus/pci/drivers/vfio-pci/unbind"; }
stop_daemon() { guest 'kill -TERM $(pidof vmgpu-node); sleep 1; ! pidof vmgpu-node'; }

without_a_server() {
	stop_daemon
	let_loose 0000:81:00.0
	guest "sed 's#10\.0\.2\.2:[0-9]*#10.0.2.2:9#' $g/kubeconfig >/tmp/nobody; ($node --node-name gpu-node --kubeconfig /tmp/nobody --lease-namespace default --device-plugins= >>/tmp/node.log 2>&1) &"
	it "with no API server the last orders are obeyed" within 15 bound
	stop_daemon
	start_daemon
}

quarantined() { [ "$(get "{.status.units[?(@.id==\"$1\")].conditions[?(@.type==\"Quarantined\")].status}")" = "$2" ]; }
damaged() {
	order vfio "${taken[@]}"
	within 10 obeying 'True Obeying 3 units'
	stop_daemon
	guest 'printf "%040d" 0 | dd of=/var/lib/vmgpu/journal bs=1 seek=700 conv=notrunc 2>/dev/null'
	start_daemon
	it "a card that a damaged journal may have told of is quarantined" within 15 quarantined 0000:81:00.0 True
	it "the damaged journal is kept" guest 'test -s /var/lib/vmgpu/journal.bad-1'
	order host "${taken[@]}"
	sleep 2
	it "and its driver stays, whatever is ordered" bound
	kubectl patch gpunode gpu-node --type=merge -p '{"spec": {"units": []}}' >/dev/null
	it "when nothing is ordered of it any more, that ends" within 15 quarantined 0000:81:00.0 ''
}

unchanged() {
	local before
	before=$(get '{.metadata.resourceVersion}')
	sleep 4
	[ -n "$before" ] && [ "$before" = "$(get '{.metadata.resourceVersion}')" ]
}
second_daemon() {
	within 30 unchanged # the first has just been started
	guest "($node --node-name gpu-node --kubeconfig $g/kubeconfig --lease-namespace default --device-plugins= >/tmp/second.log 2>&1) & echo \$! >/tmp/second"
	sleep 2
	it "a second daemon on the node writes nothing, and the first need not answer it" unchanged
	guest 'kill $(pgrep -f second.log; cat /tmp/second); pkill -n vmgpu-node'
}

# As after the CRDs were removed and came back: the journal knows of later terms than the controller.
restored() {
	start_controller
	within 15 obeying 'True Obeying 5 units'
	stop_controller
	kubectl delete gpunode gpu-node >/dev/null
	sleep 2
	start_controller
	it "a controller that knows of no term learns the journal's, and is obeyed" within 20 obeying 'True Obeying 5 units'
	it "by a later term" [ "$(get '{.spec.term}')" -gt 1 ]
	stop_controller
}

forged() {
	local before
	before=$(guest 'for d in /sys/bus/pci/devices/*; do echo "$d $(readlink $d/driver)"; done')
	order vfio 0000:00:10.0=1af4:1009 ../0000:02:00.0=10de:20b5 0000:02:00.0=10de:26b9
	it "orders for a disk, a path and another card are refused, each with the reason" within 5 obeying \
		'False OrdersRefused 0000:00:10.0: no GPU is at 0000:00:10.0; ../0000:02:00.0: it is no PCI address.*; 0000:02:00.0: the order is of a card 10de:26b9, and a 10de:20b5 is there'
	it "and nothing of the machine has changed" [ "$before" = "$(guest 'for d in /sys/bus/pci/devices/*; do echo "$d $(readlink $d/driver)"; done')" ]
}

if ! command -v qemu-system-x86_64 >/dev/null; then
	echo "ok 1 - orders in a real kernel # SKIP no QEMU (e2e/deps.sh --test)"
	exit 0
fi
WITHOUT_KUBEVIRT=1 bash e2e/cluster/up.sh "$work/cluster" || exit 1
# shellcheck source=/dev/null
. "$work/cluster/env"
kubectl create -f - >/dev/null <<'Y'
{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "gpu-node"}}
Y
NVFAKE=driver=0 bash e2e/node/run.sh "$g" "$KUBECONFIG" || exit 1
obeyed
given_back
[ -n "${QUICK:-}" ] || killed
without_a_server
second_daemon
restored
forged
damaged
echo "1..$n"
exit $failed
