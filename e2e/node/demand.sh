#!/bin/bash
# demand.sh: vGPUs that pods ask for, in a real kernel and with a real kubelet. Every profile that fits is counted on the Node; the one that a
# pod asks for is made in its Allocate, the counts of others follow, and its end removes it. Those that are ordered one by one are handed out
# as they are, and made anew behind each pod. Both faces of NVIDIA's driver (nvfake.c). Prints TAP.
#
# Variables:
#   V=dev|asan  build of vmgpu-node
#   TAIL=N      lines of the daemon's log after a failure (8)
set -uo pipefail
prog=node/demand.sh
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$here/../lib.sh"
# shellcheck source-path=SCRIPTDIR source=test-lib.sh
. "$here/test-lib.sh"
case ${1:-} in -h | --help) usage && exit 0 ;; esac
top=$(cd "$here/../.." && pwd)
cd "$top" || exit 1
V=${V:-dev}
make -s V="$V" "build/$V/vmgpu-node" || exit 1
node=$top/build/$V/vmgpu-node
work=$(mktemp -d)
g=$work/guest
n=0 failed=0

clean() {
	[ ! -d "$g" ] || bash e2e/node/stop.sh "$g"
	[ ! -d "$work/cluster" ] || bash e2e/cluster/down.sh "$work/cluster"
	rm -rf "$work"
}
trap clean EXIT

after_failure() {
	kubectl get pods 2>&1 | sed 's/^/# /'
	get '{range .status.units[*]}{.id} {.driver} {.sriov}: {.conditions[*].message}{"\n"}{range .slots[?(@.type)]}{.vf}={.type}={.holder} {end}{"\n"}{end}' | sed 's/^/# /'
	guest 'tail -n ${TAIL:-8} /tmp/node.log' | sed 's/^/# log: /'
}

l40s=0000:02:00.0 t4=0000:81:00.0
# order [SLOTS]: of the L40S; the T4 is always cut as pods ask
order() {
	kubectl patch gpunode gpu-node --type=merge -p "{\"spec\": {\"term\": 1, \"permittedTypes\": [\"GRID T4-4Q\"], \"units\": [
		{\"id\": \"$l40s\", \"device\": \"10de:26b9\", \"want\": \"vgpu\", \"vfs\": 16, \"slots\": [${1:-}]}, {\"id\": \"$t4\", \"device\": \"10de:1eb8\", \"want\": \"vgpu\"}]}}" >/dev/null
}
# counts PROFILE=NUMBER...: what the Node has, whoever has it
counts() {
	local all pair
	all=$(kubectl get node gpu-node -o json | python3 -c 'import json, sys; print(*("%s=%s" % i for i in json.load(sys.stdin)["status"]["allocatable"].items()), sep="\n")')
	for pair; do grep -qx "nvidia.com/$pair" <<<"$all" || { [ "${pair#*=}" = 0 ] && ! grep -q "^nvidia.com/${pair%=*}=" <<<"$all"; } || return 1; done
}
# slots VF=TYPE=HOLDER...: all that are made, by the report
slots() {
	[ "$(get '{range .status.units[*].slots[?(@.type)]}{.vf}={.type}={.holder}{"\n"}{end}' | grep -v '^$' | sort)" = "$(printf '%s\n' "$@" | grep -v '^$' | sort)" ]
}

start_daemon() { guest "(exec setsid $node --node-name gpu-node --kubeconfig $g/kubeconfig --lease-namespace default --tool-socket /run/vmgpu/tool.sock >>/tmp/node.log 2>&1 </dev/null) & echo \$! >/tmp/node"; }
kill_daemon() { guest 'kill -KILL $(cat /tmp/node)'; }

pod() { # NAME PROFILE [NUMBER]
	kubectl create -f - >/dev/null <<Y
apiVersion: v1
kind: Pod
metadata: {name: $1}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: busybox:local
    imagePullPolicy: Never
    command: [sh, -c, 'tr "\\\\0" "\\\\n" </proc/1/environ | grep PCI_RESOURCE; ls -x /dev/vfio; trap "exit 0" TERM; while sleep 1; do :; done']
    resources: {limits: {nvidia.com/$2: ${3:-1}}}
Y
}
delete() { kubectl delete pod "$@" --wait=false >/dev/null; }
phase() { [ "$(kubectl get pod "$1" -o 'jsonpath={.status.phase}' 2>/dev/null)" = "$2" ]; }
says() { kubectl logs "$1" | grep -qE "$2"; }
soon() { within 60 "$@"; }
group() { basename "$(guest "readlink /sys/bus/pci/devices/$1/iommu_group")"; }

counted() {
	order
	it "every profile that fits is counted" soon counts NVIDIA_L40S-8Q=6 NVIDIA_L40S-4Q=12 NVIDIA_L40S-1Q=16 NVIDIA_L40S-48Q=1 GRID_T4-4Q=4
	it "and nothing is made for it" slots ''
}

made() {
	pod a NVIDIA_L40S-8Q
	it "a pod that asks for one runs" soon phase a Running
	it "it has the function's address" soon says a '^PCI_RESOURCE_NVIDIA_COM_NVIDIA_L40S-8Q=0000:02:00.1$'
	it "and the node of its group" says a "^$(group 0000:02:00.1) +vfio"
	it "the report says what is made and who has it" soon slots '0000:02:00.1=NVIDIA L40S-8Q=default/a'
	it "of other sizes there are none any more, of this one as many as before" soon counts NVIDIA_L40S-8Q=6 NVIDIA_L40S-8A=5 NVIDIA_L40S-4Q=0 NVIDIA_L40S-48Q=0
	pod b NVIDIA_L40S-8Q 2
	it "a pod can have two" soon says b '^PCI_RESOURCE_NVIDIA_COM_NVIDIA_L40S-8Q=0000:02:00.2,0000:02:00.3$'
	pod c NVIDIA_L40S-4Q
	it "one that asks for another size waits" phase c Pending
	kill_daemon
	start_daemon
	it "the daemon killed and started again, all is as it was" soon counts NVIDIA_L40S-8Q=6 NVIDIA_L40S-4Q=0
	it "and nobody has lost anything" soon slots '0000:02:00.1=NVIDIA L40S-8Q=default/a' '0000:02:00.2=NVIDIA L40S-8Q=default/b' '0000:02:00.3=NVIDIA L40S-8Q=default/b'
	delete a b
	it "the pods at their end, it is removed, and who waited has the other size" soon slots '0000:02:00.1=NVIDIA L40S-4Q=default/c'
	it "its counts are those of the Node" soon counts NVIDIA_L40S-4Q=12 NVIDIA_L40S-8Q=0
	delete c
	it "at the end of all, all is as it began" soon counts NVIDIA_L40S-8Q=6 NVIDIA_L40S-4Q=12
	it "and nothing is made" soon slots ''
}

ended() { ! phase "$1" Pending && ! phase "$2" Pending || [ "$(kubectl get pod "$1" "$2" -o 'jsonpath={.items[*].status.conditions[?(@.type=="PodScheduled")].reason}')" = Unschedulable ]; }
running() { kubectl get pods "$@" -o 'jsonpath={range .items[*]}{.status.phase}{"\n"}{end}' | grep -c Running; }
at_once() {
	pod d NVIDIA_L40S-24Q &
	pod e NVIDIA_L40S-12Q
	wait $!
	soon ended d e
	it "of two sizes that are asked for at once, one is made" soon eval '[ "$(running d e)" = 1 ]'
	sleep 3
	it "and no more than that" [ "$(get '{range .status.units[*].slots[?(@.type)]}{.type}{"\n"}{end}' | grep -c L40S)" = 1 ]
	delete d e
	it "at their end it is removed" soon slots ''
}

full() {
	pod f NVIDIA_L40S-24Q 2
	it "a pod has the whole card" soon phase f Running
	pod h NVIDIA_L40S-24Q
	sleep 3
	it "the next one waits" phase h Pending
	delete f
	it "until the first one ends" soon phase h Running
	delete h
	soon slots ''
}

ordered() {
	order '{"vf": "0000:02:00.5", "type": "NVIDIA L40S-8Q"}'
	it "a vGPU that is ordered is counted, and no other" soon counts NVIDIA_L40S-8Q=1 NVIDIA_L40S-4Q=0 NVIDIA_L40S-1Q=0
	pod i NVIDIA_L40S-8Q
	it "a pod gets it" soon says i '^PCI_RESOURCE_NVIDIA_COM_NVIDIA_L40S-8Q=0000:02:00.5$'
	order
	it "while the pod has it, it stays though it is not ordered any more" soon counts NVIDIA_L40S-8A=5
	it "as what it is" slots '0000:02:00.5=NVIDIA L40S-8Q=default/i'
	order '{"vf": "0000:02:00.5", "type": "NVIDIA L40S-8Q"}'
	delete i
	it "at the pod's end it is made anew" soon guest 'tr -d "\000" </var/lib/vmgpu/journal | grep "\"use\"" | grep -q "0000:02:00.0/.*removal"'
	it "and is there for the next one" soon slots '0000:02:00.5=NVIDIA L40S-8Q='
	it "counted as before" soon counts NVIDIA_L40S-8Q=1
	order
	it "not ordered any more, it goes" soon slots ''
}

mediated() {
	local uuid
	pod j GRID_T4-4Q
	pod k GRID_T4-4Q
	it "mediated devices are made for who asks" soon eval 'phase j Running && phase k Running'
	uuid=$(guest 'ls /sys/bus/mdev/devices' | tr '\n' '|')
	it "each pod has one by its UUID" soon eval 'says j "^MDEV_PCI_RESOURCE_NVIDIA_COM_GRID_T4-4Q=(${uuid%|})$" && says k "^MDEV_PCI_RESOURCE_NVIDIA_COM_GRID_T4-4Q=(${uuid%|})$"'
	it "another one" eval '[ "$(kubectl logs j | grep PCI)" != "$(kubectl logs k | grep PCI)" ]'
	delete j
	it "the end of one removes one" soon eval '[ "$(guest "ls /sys/bus/mdev/devices" | wc -l)" = 1 ] && slots "$t4=GRID T4-4Q=default/k"'
	delete k
	it "the end of both removes both" soon slots ''
}

if ! command -v qemu-system-x86_64 >/dev/null; then
	echo "ok 1 - vGPUs that pods ask for # SKIP no QEMU (e2e/deps.sh --test)"
	exit 0
fi
WITHOUT_KUBEVIRT=1 bash e2e/cluster/up.sh "$work/cluster" || exit 1
# shellcheck source=/dev/null
. "$work/cluster/env"
VFS=16 MASK=$l40s=10de:26b9:030200,$t4=10de:1eb8:030200 NVFAKE="vgpu=none ready_ms=100 card=$l40s=vfio:equal,$t4=mdev" KUBELET=1 bash e2e/node/run.sh "$g" "$KUBECONFIG" &&
	bash e2e/node/join.sh "$g" "$work/cluster" || exit 1
guest "(exec python3 $here/tool.py /run/vmgpu/tool.sock >/tmp/tool.log 2>&1) &"
start_daemon
within 20 kubectl get gpunode gpu-node >/dev/null 2>&1
counted
made
at_once
full
ordered
mediated
echo "1..$n"
exit $failed
