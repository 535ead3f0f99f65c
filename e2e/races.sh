#!/bin/bash
# races.sh: many pods for few GPUs, cards that change their name, and a kubelet and a daemon that are killed meanwhile: no device is ever with two pods, none goes from one
# to the next as it was, whoever gets none is told why, and nothing is left over. On the node of supply.sh. Prints TAP.
#
# Variables:
#   CYCLES=N      that many pods are created, run and are deleted while kubelet and daemon are killed (20)
#   MOVES=N       that often a card gets a name of its own or loses it, while pods ask for both (12)
#   SEED=N        of when who is killed (1)
#   LONG=1        also what takes its time: a pod that never shows, and a node at rest
#   STATE=FOLDER  a cluster that runs, has our CRDs and no nodes; default: one of its own
#   V=dev|asan    build of vmgpu-node
set -uo pipefail
prog=races.sh
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$top/e2e/lib.sh"
case ${1:-} in -h | --help) usage && exit 0 ;; esac
# shellcheck source-path=SCRIPTDIR source=supply-lib.sh
. "$top/e2e/supply-lib.sh"
RANDOM=${SEED:-1}
watcher='' relay=''
trap 'end_all; clean' EXIT

races() { python3 e2e/races.py "$@"; }
# figures TEXT COMMAND...: a test, and what the command counted
figures() {
	local text=$1 said
	shift
	said=$(mktemp)
	it "$text" counted "$said" "$@"
	sed 's/^/# /' "$said"
	rm -f "$said"
}
counted() { # FILE COMMAND...
	local rc=0
	"${@:2}" >"$1.all" 2>&1 || rc=$?
	if [ $rc = 0 ]; then mv "$1.all" "$1"; else cat "$1.all" && rm "$1.all"; fi
	return $rc
}

watching() {
	/usr/bin/python3 e2e/races.py watch "$state" "$tree" "$work/events" & # by no function: the id must be its own
	watcher=$!
	within 10 grep -qs ready "$work/events"
}
end_all() {
	local pid
	for pid in $watcher $relay; do kill "$pid" 2>/dev/null; done
	kubectl delete pods -l app=races --force --grace-period=0 >/dev/null 2>&1
}

all() { counts AD102GL_L40S=6 GA100_A100_PCIE_80GB=2; }
no_holder() { [ -z "$(get '{.status.units[*].holder.pod}')" ]; }
nobody_listed() { ! kubelet enter nodekit resources | grep -q deviceIds; }
is_listed() { kubelet enter nodekit resources | grep -q "$1"; } # ADDRESS
all_available() { [ "$(get '{range .status.units[*]}{.conditions[?(@.type=="Available")].status}{"\n"}{end}' | sort | uniq -c | xargs)" = "8 True" ]; }
journal_free() { races journal "$state/nodes/n1/vmgpu/journal"; }
all_at_once() { # NAME
	soon all && pod "$1-6" AD102GL_L40S 6 && pod "$1-2" GA100_A100_PCIE_80GB 2 && soon phase "$1-6" Running && soon phase "$1-2" Running
}
# What was given to a pod that never showed is taken back half a minute later, or when the next one wants it: that is not waited for.
nothing_left() { # TEXT NAME
	it "$1: no pod is listed with a device" soon nobody_listed
	it "all eight can be had at once" all_at_once "$2"
	end_pod "$2-6" "$2-2"
	it "no report names a holder" soon no_holder
	it "all are available and counted" eval 'soon all_available && soon all'
	it "the journal remembers no use that has not ended" soon journal_free
	figures "no device was ever with two pods, and each was reset before the next one had it" races check "$state" "$tree" "$work/events"
}

crowd() {
	figures "50 pods for 8 devices: each runs, or says why not" races crowd "$state" 50
	nothing_left "when all have ended" crowds
}

# kills PID: while that process runs, kubelet and daemon are killed and start again: most of the time when they have come to rest
kills() {
	local who killed=0
	while sleep "$((RANDOM % 2)).$((RANDOM % 10))" && kill -0 "$1" 2>/dev/null; do
		who=$([ $((RANDOM % 2)) = 0 ] && echo kubelet || echo node)
		kubelet end $who KILL
		sleep "0.$((RANDOM % 10))"
		kubelet again $who
		killed=$((killed + 1))
		[ $((RANDOM % 4)) = 0 ] || soon all >/dev/null
	done
	echo "$killed times kubelet or daemon were killed"
}

cycled() {
	local pid rc=0
	races cycles "$state" "${CYCLES:-20}" 10 &
	pid=$!
	kills $pid
	wait $pid || rc=$?
	return $rc
}

cycles() {
	figures "${CYCLES:-20} pods come and go while kubelet and daemon are killed" cycled
	nothing_left "after that" cycles
}

exact() {
	figures "cards that are claimed for themselves, ${MOVES:-12} moves: listed under one name at a time, and who gets none is told why" \
		races exact "$state" "${MOVES:-12}" 6
	nothing_left "after that" exacts
}

folder() { echo "$state/nodes/n1/kubelet/device-plugins"; }
allocate() { # RESOURCE ID [TIMES]: as if a kubelet asked
	kubelet enter nodekit allocate --times "${3:-1}" "/var/lib/kubelet/device-plugins/$(races socket "nvidia.com/$1")" "$2"
}
refused() { # TEXT COMMAND...
	local said
	! said=$("${@:2}" 2>&1) && echo "$said" && grep -q "$1" <<<"$said"
}
message() { kubectl get pod "$1" -o 'jsonpath={.status.message}'; }

# The same kubelet behind another socket.
replace_socket() {
	mv "$(folder)/kubelet.sock" "$(folder)/.real"
	/usr/bin/python3 e2e/races.py relay "$(folder)" 2>/dev/null &
	relay=$!
}
restore_socket() {
	kill "$relay"
	relay=''
	kubelet end kubelet KILL
	rm -f "$(folder)"/{kubelet.sock,.real}
}

kubelet_faults() {
	local before
	pod held AD102GL_L40S 1
	it "a pod has one" soon phase held Running
	before=$(lists)
	rm "$(folder)"/vmgpu*.sock
	pod more AD102GL_L40S 1
	it "our sockets are removed: the kubelet is connected, and goes on" soon phase more Running
	it "all are counted" all
	end_pod more
	replace_socket
	it "only the kubelet's socket is replaced: it is told anew" soon registered $((before + 2))
	it "all are counted then, too" soon all
	restore_socket
	before=$(lists)
	sleep "${LATE:-6}"
	kubelet again kubelet
	it "its socket comes ${LATE:-6} s late: it is told at once" within 5 registered $((before + 2))
	it "all are counted after that" soon all
	# Before the kubelet knows its pods it lists none, and what it asks for then counts as nobody's: it keeps its books over its death.
	it "and the pod has what it had" eval 'phase held Running && soon is_listed "$(variable held AD102GL_L40S)" && soon holder "$(variable held AD102GL_L40S)" held'
}

allocates() {
	local held idle resets
	held=$(variable held AD102GL_L40S)
	it "what no device is called is not given" refused 'no such device' allocate AD102GL_L40S 0000:99:00.0
	it "nor what a pod has" refused 'another pod has it' allocate AD102GL_L40S "$held"
	it "nor one under another name" refused 'not as nvidia.com/GA100' allocate GA100_A100_PCIE_80GB "$held"
	pod one GA100_A100_PCIE_80GB 1
	soon phase one Running
	idle=$(echo '0000:04:00.0 0000:08:00.0' | sed "s/ *$(variable one GA100_A100_PCIE_80GB) *//")
	resets=$(resets "$idle")
	it "what is given twice at once, and no pod shows, is reset before the second time" eval 'allocate GA100_A100_PCIE_80GB "$idle" 2 && soon reset_since "$idle" $resets'
	resets=$(resets "$idle")
	pod two GA100_A100_PCIE_80GB 1
	it "then a pod gets it all the same" soon phase two Running
	it "and that had it reset once more" reset_since "$idle" "$resets"
	end_pod two
	soon holder "$idle" ''
	mv "$(device "$idle")" "$work/unplugged"
	pod late GA100_A100_PCIE_80GB 1
	it "one that has just been pulled out is not given" soon phase late Failed
	it "and the pod says why" eval 'message late | grep -q "$idle: it is not there any more"'
	plug "$idle"
	it "when it is back it is counted" soon all
	end_pod held one late
}
resets() { grep -c "\"reset\": \"$1\"" "$work/events"; } # ADDRESS
reset_since() { [ "$(resets "$1")" -gt "$2" ]; }         # ADDRESS COUNT

# What nobody is in a hurry for.
in_time() {
	local idle=0000:04:00.0
	allocate GA100_A100_PCIE_80GB $idle >/dev/null
	it "a pod that never shows has nothing: a minute later it is free" within 60 journal_free
	within 5 all_available
	it "at rest the GPUNode is not written" at_rest get '{.metadata.resourceVersion}'
}
at_rest() {
	local before
	before=$("$@")
	sleep 20
	[ "$("$@")" = "$before" ]
}

begin --gpus 8 --ids 10de:26b9,10de:26b9,10de:26b9,10de:20b5 --numa 2 || { echo "not ok 1 - a node with GPUs" && exit 1; }
watching
it "eight devices are counted" soon all
[ $failed = 0 ] || { echo "1..$n" && exit 1; }
crowd
[ $failed = 0 ] || { echo "1..$n" && exit 1; }
cycles
[ $failed = 0 ] || { echo "1..$n" && exit 1; }
exact
[ $failed = 0 ] || { echo "1..$n" && exit 1; }
kubelet_faults
allocates
nothing_left "after all that" faults
[ -z "${LONG:-}" ] || in_time
echo "1..$n"
exit $failed
