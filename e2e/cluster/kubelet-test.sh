#!/bin/bash
# kubelet-test.sh: the rig of kubelet.sh holds: a real kubelet's Node is Ready and counts what a device plugin lists, a pod gets what
# Allocate answers, pod-resources names it, all of it outlives ends of kubelet, runtime and plugin, and nothing stays when it is
# stopped. Here the plugin is nodekit's: nothing of vmgpu is tested. Prints TAP.
#
# Variables:
#   STATE=FOLDER  a cluster that runs and has no nodes; default: one of its own
set -uo pipefail
prog=kubelet-test.sh
top=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$top/e2e/lib.sh"
case ${1:-} in -h | --help) usage && exit 0 ;; esac
cd "$top" || exit 1
work=$(mktemp -d)
state=${STATE:-$work/cluster} resource=test.vmgpu.io/card
n=0 failed=0

clean() {
	if [ -n "${STATE:-}" ]; then kubelet stop; else bash e2e/cluster/down.sh "$state"; fi
	rm -rf "$work"
}
trap clean EXIT

after_failure() { tail -3 "$state"/log/{plugin,runtime}@n1 2>/dev/null | sed 's/^/# /'; }
kubelet() { bash e2e/cluster/kubelet.sh "$1" "$state" n1 "${@:2}"; }
soon() { within 20 "$@"; }
node() { kubectl get node n1 -o "jsonpath=$1"; }

# machine: what this machine has of mounts, folders and settings that a kubelet could touch
machine() {
	cut -d' ' -f5- /proc/self/mountinfo | sort
	ls -a /var/lib /var/lib/kubelet /var/lib/vmgpu /var/log /var/log/pods /var/log/containers 2>&1
	cat /proc/sys/vm/{overcommit_memory,panic_on_oom} /proc/sys/kernel/{panic,panic_on_oops} /proc/sys/kernel/keys/root_max{keys,bytes}
	find /sys/fs/cgroup -maxdepth 2 -type d | sort
}

# ours: the processes that work in the cluster's folder, as all of kubelet.sh and up.sh do
ours() {
	# shellcheck disable=SC2010
	ls -l /proc/[0-9]*/cwd 2>/dev/null | grep -F -- "-> $state" | sed 's|.* /proc/\([0-9]*\)/cwd.*|\1|' | while read -r p; do tr '\0' ' ' <"/proc/$p/cmdline"; done
}

counts() { [ "$(node '{.status.allocatable.test\.vmgpu\.io/card}')" = "$1" ]; } # NUMBER

pod() { # NAME [ANNOTATION]: with one container, main, that asks for one card
	kubectl create -f - >/dev/null <<Y
apiVersion: v1
kind: Pod
metadata: {name: $1, annotations: {${2:-}}}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: none, env: [{name: OWN, value: mine}], resources: {limits: {$resource: 1}}}]
Y
}
phase() { [ "$(kubectl get pod "$1" -o 'jsonpath={.status.phase}')" = "$2" ]; }
gone() { ! kubectl get pod "$1" -o name 2>/dev/null; }

# got POD EXPRESSION: that is true, in Python, of the record c of its container, and of env, what its environment would be
got() {
	python3 - "$state/nodes/n1/runtime/containers" "$@" <<'PY'
import glob, json, sys
folder, pod, expression = sys.argv[1:]
files = glob.glob("%s/default_%s_main_*.json" % (folder, pod))
assert len(files) == 1, files
c = json.load(open(files[0]))
env = dict(e.split("=", 1) for e in c["env"])
if not eval(expression):
    sys.exit(expression + "\n" + json.dumps(c, indent=1))
PY
}

# held EXPECTED: what pod-resources says, as POD=ID words in order
held() {
	[ "$(kubelet enter nodekit resources | python3 -c '
import json, sys
pods = json.load(sys.stdin).get("podResources", [])
print(*sorted("%s=%s" % (p["name"], i) for p in pods for c in p["containers"] for d in c.get("devices", []) for i in d["deviceIds"]))')" = "$1" ]
}

# id POD: of the card that it got
id() { grep -ho 'PCI_RESOURCE_TEST_VMGPU_IO_CARD=[^"]*' "$state"/nodes/n1/runtime/containers/default_"$1"_main_*.json | cut -d= -f2; }

other() { case $1 in c0) echo c1 ;; c1) echo c0 ;; esac; }
started() { kubectl get pod "$1" -o 'jsonpath={.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].containerID}'; }
ready() { [ "$(node '{.status.conditions[?(@.type=="Ready")].status}')" = True ]; }
registered() { [ "$(grep -c registered "$state/log/plugin@n1")" = "$1" ]; } # TIMES

begin() {
	[ -n "${STATE:-}" ] || WITHOUT_KUBEVIRT=1 CRDS='' MANY=1 bash e2e/cluster/up.sh "$state" || return 1
	# shellcheck source=/dev/null
	. "$state/env"
}

begin || { echo "not ok 1 - a cluster for a kubelet" && exit 1; }
python3 e2e/bench/mktree.py "$work/tree" --gpus 1 >/dev/null
machine >"$work/before"
it "a kubelet starts, its Node is Ready" env TREE="$work/tree" bash e2e/cluster/kubelet.sh start "$state" n1
it "what runs beside it sees the tree" kubelet enter sh -c '[ -e /dev/vfio/1 ] && [ "$(ls /sys)" = "$(ls "$0/tree/sys")" ] && [ -S /var/lib/kubelet/device-plugins/kubelet.sock ]' "$work"
it "it is Kubernetes' own, with a played runtime" eval '[ "$(node "{.status.nodeInfo.kubeletVersion} {.status.nodeInfo.containerRuntimeVersion}")" = "v1.36.3 played://1.0.0" ]'
kubelet run plugin nodekit plugin --device /dev/vfio/1:/dev/vfio/1 $resource c0 c1
it "its Node counts what the plugin lists" soon counts 2
pod a
it "a pod that asks for one runs" soon phase a Running
it "it got the plugin's variable beside its own" got a 'env["PCI_RESOURCE_TEST_VMGPU_IO_CARD"] in ("c0", "c1") and env["OWN"] == "mine"'
it "and the plugin's device node" got a 'c["devices"] == [{"host": "/dev/vfio/1", "container": "/dev/vfio/1", "permissions": "mrw"}] and c["state"] == "running"'
card=$(id a)
it "pod-resources names the pod and the device" held "a=$card"
before=$(started a)
it "the kubelet is killed and starts again" eval 'kubelet end kubelet KILL && kubelet again kubelet'
it "the plugin registers again" soon registered 2
it "its Node counts both again" soon counts 2
pod b
it "another pod gets the other one" eval 'soon phase b Running && [ "$(id b)" = "$(other "$card")" ]'
it "pod-resources still knows the first" held "$(printf '%s\n' "a=$card" "b=$(other "$card")" | sort | xargs)"
it "which was not restarted" [ "$(started a)" = "$before" ]
it "runtime and plugin are killed and start again" eval 'for name in runtime plugin; do kubelet end $name KILL && kubelet again $name || exit 1; done'
it "the first pod does not notice" eval 'kubelet end kubelet && kubelet again kubelet && nap 2 && [ "$(started a)" = "$before" ] && phase a Running'
kubectl delete pod b --wait=false >/dev/null
it "a pod that is deleted ends and gives its device back" eval 'soon gone b && soon held "a=$card"'
it "what it got can still be read" got b 'c["state"] in ("exited", "removed") and c["exitCode"] == 143'
pod c 'play.vmgpu.io/ends: "main=0@100ms"'
it "a container ends by itself when its pod says so" soon phase c Succeeded
it "the Node is Ready after all of it" soon ready
it "stop takes the Node and its pods away" eval 'kubelet stop && ! kubectl get node n1 -o name && [ -z "$(kubectl get pods -A --field-selector spec.nodeName=n1 -o name)" ]'
it "and every process and file" eval '! ours | grep -E "kubelet|nodekit|sleep" && [ ! -e "$state/nodes/n1" ] && [ -z "$(find "$state" -name "*@n1")" ]'
it "and the machine is as it was: mounts, folders, settings, cgroups" eval 'machine | diff "$work/before" -'
it "a node that was never there is stopped without a word" eval '[ -z "$(kubelet stop 2>&1)" ]'
[ -n "${STATE:-}" ] || it "a cluster that goes takes its kubelet with it" \
	eval 'kubelet start && bash e2e/cluster/down.sh "$state" && [ ! -e "$state" ] && [ -z "$(ours)" ] && machine | diff "$work/before" -'
echo "1..$n"
exit $failed
