#!/bin/bash
# pairs.sh: both programs killed on one way: vmgpu-controller at one of its writes to the API server, vmgpu-node in a guest, at a real kernel, at one of
# its writes to /sys and to its journal. What starts in their place, as kubelet and Deployment would start it, must come to the same end. An
# admin's objects ask for it: a claim of a card, and the vGPUs of another; then that they go. Prints TAP.
#
# Variables:
#   PAIRS=N     so many pairs of places, drawn by SEED=N (32, 1); 0: all
#   ONLY=TEXT   only pairs whose words have this part, e.g. "bound: controller lost"
#   V=dev|asan  build of vmgpu-node
#   TAIL=N      lines of the daemon's log after a failure (5)
set -uo pipefail
prog=node/pairs.sh
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$here/../lib.sh"
# shellcheck source-path=SCRIPTDIR source=test-lib.sh
. "$here/test-lib.sh"
case ${1:-} in -h | --help) usage && exit 0 ;; esac
top=$(cd "$here/../.." && pwd)
cd "$top" || exit 1
V=${V:-dev}
make -s build/dev/vmgpu-controller "V=$V" "build/$V/vmgpu-node" && make -s build/cutoff.so build/vmgpu-e2e || exit 1
RANDOM=${SEED:-1}
socket=/run/vmgpu/tool.sock
work=$(mktemp -d)
g=$work/guest
n=0 failed=0 proxy='' kept=''

clean() {
	[ -z "$controller$proxy" ] || kill -KILL $controller $proxy 2>/dev/null
	[ ! -d "$g" ] || bash e2e/node/stop.sh "$g"
	[ ! -d "$work/cluster" ] || bash e2e/cluster/down.sh "$work/cluster"
	rm -rf "$work"
}
trap clean EXIT

after_failure() {
	get '{.spec.units}{"\n"}{range .status.units[*]}{.id} {.driver} {.sriov}: {.conditions[*].message}{"\n"}{end}{.status.conditions[*].message}{"\n"}' | sed 's/^/# /'
	guest "tail -${TAIL:-5} /tmp/node.log" | sed 's/^/# node: /'
	tail -3 "$work/controller.log" | sed 's/^/# controller: /'
}

# --- what is asked for, and what is then true of the machine and of who asked -------------------------------------------------------

l40s=0000:02:00.0 h100=0000:81:00.0
claim=gpu-node-000081000 sriov=gpu-node-000002000 first=gpu-node-000002001 second=gpu-node-000002002

of() { kubectl get "$1" "$2" -o "jsonpath=$3" --ignore-not-found; } # RESOURCE NAME PATH
set_spec() { kubectl patch "$1" "$2" --type=merge -p "{\"spec\": $3}" >/dev/null; }
made_types() { guest "cat /sys/bus/pci/devices/$l40s/virtfn*/nvidia/current_vgpu_type" 2>/dev/null | xargs; }

ask_bound() {
	kubectl create -f - >/dev/null <<Y
{"apiVersion": "devices.harvesterhci.io/v1beta1", "kind": "PCIDeviceClaim", "metadata": {"name": "$claim"}, "spec": {"address": "$h100", "nodeName": "gpu-node"}}
Y
}
is_bound() { [ "$(of pcideviceclaims $claim '{.status.passthroughEnabled}')" = true ] && driver $h100 vfio-pci; }
ask_loose() { kubectl delete pcideviceclaims $claim --wait=false >/dev/null; }
is_loose() { [ -z "$(of pcideviceclaims $claim '{.metadata.name}')" ] && driver $h100 -; }
ask_made() {
	set_spec sriovgpudevices $sriov '{"enabled": true}'
	within 60 eval '[ -n "$(of vgpudevices '$second' "{.spec.address}")" ]'
	set_spec vgpudevices $first '{"enabled": true, "vGPUTypeName": "NVIDIA L40S-12Q"}'
	set_spec vgpudevices $second '{"enabled": true, "vGPUTypeName": "NVIDIA L40S-12Q"}'
}
is_made() {
	[ "$(of vgpudevices $first '{.status.vGPUStatus}') $(of vgpudevices $second '{.status.vGPUStatus}')" = 'vGPUConfigured vGPUConfigured' ] &&
		[ "$(made_types)" = '1153 1153 0 0' ]
}
ask_whole() {
	set_spec vgpudevices $first '{"enabled": false, "vGPUTypeName": ""}'
	set_spec vgpudevices $second '{"enabled": false, "vGPUTypeName": ""}'
	set_spec sriovgpudevices $sriov '{"enabled": false}'
}
is_whole() { [ -z "$(of vgpudevices $first '{.metadata.name}')" ] && [ "$(guest "cat /sys/bus/pci/devices/$l40s/sriov_numvfs")" = 0 ]; }
declare -A before=([bound]=loose [loose]=bound [made]=whole [whole]=made)
not_quarantined() { ! get '{.status.units[*].conditions[?(@.type=="Quarantined")].status}' | grep -q True; }

# --- the two programs --------------------------------------------------------------------------------------------------------------------

daemon="$top/build/$V/vmgpu-node --node-name gpu-node --lease-namespace default --device-plugins= --tool-socket $socket --state-dir /run/state --kubeconfig $g/kubeconfig"
# start_daemon [KIND N]: what comes to an end there starts again, without a fault
start_daemon() {
	guest "rm -f /tmp/cutoff /tmp/stop; (CUTOFF=/tmp/cutoff:/run/state:${1:-count}:${2:-0} LD_PRELOAD=$top/build/cutoff.so $daemon >>/tmp/node.log 2>&1
		while [ ! -e /tmp/stop ]; do $daemon >>/tmp/node.log 2>&1; done) &"
}
stop_daemon() { guest 'touch /tmp/stop; kill -TERM $(pidof vmgpu-node); while pidof vmgpu-node >/dev/null; do sleep 0.1; done' >/dev/null; }
daemon_writes() { guest 'od -An -td4 -N4 /tmp/cutoff' | xargs; }

rule() { curl -sf "$(sed -n 's/^proxy: control //p' "$work/proxy.log")/$1" "${@:2}"; }
# The card that is claimed has no driver, which by itself would be reason enough to take it.
via_proxy() { KUBECONFIG=$work/proxied start_controller --leader-elect=false --take-gpus=none; }
# start_controllers WHEN N: one that is killed at its N-th write, and behind it another
start_controllers() {
	rule rules -X DELETE
	rule rules -d "{\"name\": \"at\", \"match\": {\"writes\": true, \"not\": \"/leases|/events\"}, \"nth\": $2, \"do\": \"hold\", \"when\": \"$1\", \"then\": \"drop\"}"
	via_proxy
	[ "$2" -lt 1000 ] || return 0
	rule "wait?rule=at&timeout=20s" >/dev/null || say "the controller made no $2 writes"
	kill -KILL "$controller"
	wait "$controller" 2>/dev/null
	rule release -X POST
	via_proxy
}
controller_writes() { rule rules | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["Matched"])'; }

# --- the pairs -------------------------------------------------------------------------------------------------------------------------------

reached() { within 120 "is_$1" && within 10 not_quarantined; }
stop_both() { stop_controller && stop_daemon; } 2>/dev/null

# reach END: without a fault; says how many writes that took of either
reach() {
	start_daemon
	start_controllers before 1000
	"ask_$1"
	reached "$1" || return 1
	nap 3
	echo "$(controller_writes) $(daemon_writes)"
	stop_both
}

killed_at() { # END WHEN N KIND N: the daemon is there first, as it is on a node that has just got its orders
	local asking rc=0
	start_daemon "$4" "$5"
	"ask_$1" &
	asking=$!
	start_controllers "$2" "$3"
	wait $asking
	reached "$1" || rc=1
	stop_both
	return $rc
}

pair() { # END WHEN N KIND N
	local text="$1: controller $2 $3, daemon $4 $5"
	[[ $text == *"${ONLY:-}"* ]] || return 0
	[ "$kept" = "${before[$1]}" ] || reach "${before[$1]}" >/dev/null || say "no way back to ${before[$1]}"
	local all=$failed
	failed=0 kept=$1
	it "$text" killed_at "$@"
	[ $failed = 0 ] && failed=$all || kept=''
}

declare -A of_controller of_daemon
drawn() { # N: pairs, on ways that follow each other
	local i ways=(bound loose made whole) whens=(before lost after) kinds=(kill-before kill-after) end
	for ((i = 0; i < $1; i++)); do
		end=${ways[i % 4]}
		[ $((i % 4)) != 0 ] || kept=loose
		[ $((i % 4)) != 2 ] || kept=whole
		pair "$end" "${whens[RANDOM % 3]}" $((1 + RANDOM % of_controller[$end])) "${kinds[RANDOM % 2]}" $((1 + RANDOM % of_daemon[$end]))
	done
}
each() { # END OTHER
	local c d when kind end
	for when in before lost after; do
		for kind in kill-before kill-after; do
			for ((c = 1; c <= of_controller[$1] || c <= of_controller[$2]; c++)); do
				for ((d = 1; d <= of_daemon[$1] || d <= of_daemon[$2]; d++)); do
					for end in "$1" "$2"; do
						[ $c -gt "${of_controller[$end]}" ] || [ $d -gt "${of_daemon[$end]}" ] || pair "$end" "$when" $c "$kind" $d
					done
				done
			done
		done
	done
}

if ! command -v qemu-system-x86_64 >/dev/null; then
	echo "ok 1 - both programs killed # SKIP no QEMU (e2e/deps.sh --test)"
	exit 0
fi
WITHOUT_KUBEVIRT=1 bash e2e/cluster/up.sh "$work/cluster" || exit 1
# shellcheck source=/dev/null
. "$work/cluster/env"
build/vmgpu-e2e proxy --state "$work/cluster" --kubeconfig "$work/proxied" --control 127.0.0.1:0 --log "$work/requests" >"$work/proxy.log" 2>&1 &
proxy=$!
kubectl create -f - >/dev/null <<'Y'
{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "gpu-node"}}
Y
VFS=4 CARD=nvme,serial=card MASK=$l40s=10de:26b9:030200,$h100=10de:2321:030200 NVFAKE="vgpu=none ready_ms=0 card=$l40s=vfio:equal" \
	bash e2e/node/run.sh "$g" "$KUBECONFIG" || exit 1
guest "echo $h100 >/sys/bus/pci/devices/$h100/driver/unbind" # whether anybody uses it on the fake driver nobody can say
guest "(exec python3 $here/tool.py $socket >>/tmp/tool.log 2>&1) & while [ ! -S $socket ]; do sleep 0.1; done"
start_daemon
within 30 get '{.status.units[0].id}' >/dev/null || die "the daemon does not report"
stop_daemon
for end in bound loose made whole; do
	counts=$(reach $end) || { after_failure && die "no way to $end without a fault"; }
	read -r "of_controller[$end]" "of_daemon[$end]" <<<"$counts"
	say "until $end: ${of_controller[$end]} writes of the controller, ${of_daemon[$end]} of the daemon"
done
if [ "${PAIRS:-32}" = 0 ]; then
	kept=loose
	each bound loose
	kept=whole
	each made whole
else
	drawn "${PAIRS:-32}"
fi
echo "1..$n"
exit $failed
