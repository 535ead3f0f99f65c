#!/bin/bash
# supply.sh: GPUs given to a real kubelet, and taken back: vmgpu-node beside the kubelet of cluster/kubelet.sh, in a tree of files
# for a machine (bench/mktree.py), under a controller's orders. No container runs: what each would have got is written down. Prints TAP.
#
# Variables:
#   STATE=FOLDER  a cluster that runs, has our CRDs and no nodes; default: one of its own
#   V=dev|asan    build of vmgpu-node
set -uo pipefail
prog=supply.sh
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$top/e2e/lib.sh"
case ${1:-} in -h | --help) usage && exit 0 ;; esac
# shellcheck source-path=SCRIPTDIR source=supply-lib.sh
. "$top/e2e/supply-lib.sh"

devices() { record "$1" | python3 -c 'import json, sys; print(*sorted(d["container"] for d in json.load(sys.stdin)["devices"]))'; }
was_reset() { [ "$(cat "$(device "$1")/reset")" = 1 ]; }
not_reset() { [ ! -s "$(device "$1")/reset" ]; }

# hold ADDRESS, let_go: a process has the node of its group open, and ends
hold() {
	local group
	group=$(basename "$(readlink "$(device "$1")/iommu_group")")
	mkdir -p "$work/process/fd"
	: >"$work/process/maps"
	echo qemu-kvm >"$work/process/comm"
	mknod "$work/process/node" c 243 "$group"
	ln -s ../node "$work/process/fd/3"
	mv "$work/process" "$work/proc/42"
}
let_go() { rm -r "$work/proc/42"; }

handed_out() {
	it "the kubelet counts what is on vfio-pci, under the names of its models" soon counts AD102GL_L40S=2 GA100_A100_PCIE_80GB=1
	it "what they were used for before is not known: they are reset first" eval 'was_reset 0000:01:00.0 && was_reset 0000:03:00.0'
	: >"$(device 0000:01:00.0)/reset"
	: >"$(device 0000:03:00.0)/reset"
	pod a AD102GL_L40S 1
	it "a pod that asks for one runs" soon phase a Running
	a=$(variable a AD102GL_L40S)
	it "it got the address of one that is there" [ -e "$(device "${a:-none}")" ]
	it "and the nodes of vfio and of its group" [ "$(devices a)" = "/dev/vfio/$(basename "$(readlink "$(device "$a")/iommu_group")") /dev/vfio/vfio" ]
	it "the node's report says who has it" soon holder "$a" a
	pod b AD102GL_L40S 1
	it "another pod gets the other one" eval 'soon phase b Running && [ "$(variable b AD102GL_L40S)" != "$a" ]'
	pod c AD102GL_L40S 1
	it "a third one gets none" soon phase c Failed
	end_pod c
}

stays() {
	local before
	b=$(variable b AD102GL_L40S)
	kubelet end node KILL
	start_daemon
	it "the daemon is killed and starts again: both are listed still" soon counts AD102GL_L40S=2
	it "with who has them" eval 'holder "$a" a'
	before=$(lists)
	kubelet end kubelet KILL
	kubelet again kubelet
	it "the kubelet is killed and starts again, and is told at once" soon registered $((before + 2))
	it "it counts as before" soon counts AD102GL_L40S=2 GA100_A100_PCIE_80GB=1
	it "no pod noticed" eval 'phase a Running && phase b Running'
	it "nothing was reset meanwhile" not_reset "$a"
}

again() { # FLAG...
	kubelet end node KILL
	start_daemon "$@"
}

# As of a kubelet that was started while the API server is away, its list says nothing when it lacks the pod that we run in.
says_of_supplying() { get '{.status.conditions[?(@.type=="Supplying")].message}' | grep -q "$1"; }
without_us() {
	local before
	again --pod default/nobody
	end_pod a
	it "a list that lacks our own pod takes nothing back" eval 'sleep 5 && holder "$a" a && not_reset "$a"'
	it "nor what others have" eval 'holder "$b" b && counts AD102GL_L40S=2'
	it "after a while the report says so" within 45 says_of_supplying 'its list lacks pod default/nobody, .*is --pod right?'
	again --pod default/b
	it "one with it does" soon was_reset "$a"
	it "and nothing is said of it any more" soon eval '! says_of_supplying .'
	before=$(lists)
	again
	it "a daemon without --pod lists them, too" soon registered $((before + 2))
}

taken_back() {
	it "the pod ends: its card is reset" soon was_reset "$a"
	it "and nobody has it" soon holder "$a" ''
	it "the report says how it was reset" [ "$(get "{.status.units[?(@.id==\"$a\")].lastReset.method}")" = 'flr bus' ]
	pod d AD102GL_L40S 1
	it "the next pod gets it" eval 'soon phase d Running && [ "$(variable d AD102GL_L40S)" = "$a" ]'
	hold "$b"
	: >"$(device "$b")/reset"
	end_pod b d
	it "what a process still has open when its pod has ended is not reset" eval 'soon holder "$b" "" && sleep 2 && not_reset "$b"'
	it "nor counted" soon counts AD102GL_L40S=1
	it "the report names the process" eval 'get "{.status.units[?(@.id==\"$b\")].conditions[?(@.type==\"Available\")].message}" | grep -q "process 42 (qemu-kvm) has it open"'
	let_go
	it "when that has ended, it is" soon was_reset "$b"
	it "both are free again" eval 'soon holder "$a" "" && soon counts AD102GL_L40S=2'
}

tokens() { [ "$(kubectl get node n1 -o 'jsonpath={.status.allocatable.vmgpu\.io/companion}')" = "$1" ]; }
companion() { record "$1" | grep -o 'PCI_RESOURCE_VMGPU_IO_COMPANION=[^"]*' | cut -d= -f2; } # POD

# audio CARD...: their audio functions, as virt-launcher is told of them
audio() { printf '%s\n' "${@/%.0/.1}" | sort | paste -sd,; }

companions() {
	it "cards with an audio function have a token each" soon tokens 3
	pod f AD102GL_L40S 2 'vmgpu.io/companion: 2'
	it "a pod that asks for cards and tokens runs" soon phase f Running
	it "and has the audio functions of its cards" eval 'IFS=, read -ra f <<<"$(variable f AD102GL_L40S)" && [ "$(companion f)" = "$(audio "${f[@]}")" ]'
	it "with no more device nodes than those of their groups" [ "$(devices f | wc -w)" = 3 ]
	it "the report says who has them" eval 'soon holder "${f[0]}" f && soon holder "${f[1]}" f'
	end_pod f
	it "when it has ended all are free, tokens too" eval 'soon holder "${f[0]}" "" && soon counts AD102GL_L40S=2 && tokens 3'
}

fails() {
	local card
	card=0000:02:00.0
	cp "$(device $card)/config" "$work/config"
	head -c 4096 /dev/zero | tr '\0' '\377' >"$(device $card)/config"
	pod dead GA100_A100_PCIE_80GB 1
	it "a card that has died is not given" soon phase dead Failed
	it "and the pod says why" eval 'kubectl get pod dead -o "jsonpath={.status.message}" | grep -q "config space reads as ones"'
	it "nor counted any more" soon counts GA100_A100_PCIE_80GB=0 AD102GL_L40S=2
	cp "$work/config" "$(device $card)/config"
	event
	it "and is when it is alive again" soon counts GA100_A100_PCIE_80GB=1
	end_pod dead
	unplug $card
	it "a card that is pulled out is not counted any more" soon counts GA100_A100_PCIE_80GB=0 AD102GL_L40S=2
	plug $card
	it "and is when it is back" soon counts GA100_A100_PCIE_80GB=1
}

# served ADDRESS RESOURCE: as which another plugin gives it out, as the report has it
served() { [ "$(get "{.status.units[?(@.id==\"$1\")].servedBy}")" = "$2" ]; }
available() { get "{.status.units[?(@.id==\"$1\")].conditions[?(@.type==\"Available\")]}" | grep -q "$2"; } # ADDRESS TEXT
ours() { [ "$(lists)" = "$1" ]; }
stranger() { kubelet run stranger nodekit plugin "$@"; }

others() {
	local before
	before=$(lists)
	stranger nvidia.com/AD102GL_L40S d0 d1 d2
	it "another plugin registers a name of ours: the kubelet counts its devices" soon counts AD102GL_L40S=3
	it "the report says as what the cards are given out" eval 'soon served 0000:01:00.0 nvidia.com/AD102GL_L40S && served 0000:02:00.0 ""'
	it "by whom, and what to do about it" available 0000:01:00.0 'it is taken over when that has left the node.*ServedByOther'
	it "the name is not fought for" eval 'sleep 3 && ours "$before" && counts AD102GL_L40S=3 GA100_A100_PCIE_80GB=1'
	pod f AD102GL_L40S 1
	it "pods get what the other one gives" eval 'soon phase f Running && variable f AD102GL_L40S | grep -q "^d"'
	end_pod f
	kubelet end kubelet KILL
	kubelet again kubelet
	it "nor when the kubelet starts anew" eval 'soon registered $((before + 1)) && soon counts GA100_A100_PCIE_80GB=1 AD102GL_L40S=3 && sleep 3 && counts AD102GL_L40S=3'
	kubelet end stranger KILL
	it "when the other one has left, its name is taken over" within 60 counts AD102GL_L40S=2
	it "and the report has nothing of it" soon served 0000:01:00.0 ''
	pod g AD102GL_L40S 1
	it "pods get ours" eval 'soon phase g Running && [ -e "$(device "$(variable g AD102GL_L40S)")" ]'
	end_pod g
	kubelet end node KILL
	stranger example.com/card 0000:02:00.0
	soon eval 'kubelet enter nodekit resources | grep -q example.com/card'
	: >"$(device 0000:02:00.0)/reset"
	start_daemon
	it "a card that another plugin gave out before us is left to it" eval 'soon served 0000:02:00.0 example.com/card && soon counts GA100_A100_PCIE_80GB=0 AD102GL_L40S=2'
	it "it is not even reset" not_reset 0000:02:00.0
	kubelet end stranger KILL
	it "until that has left" within 60 counts GA100_A100_PCIE_80GB=1
}

ordered_back() {
	kill -TERM "$controller"
	wait "$controller"
	controller=''
	pod e AD102GL_L40S 1
	soon phase e Running
	e=$(variable e AD102GL_L40S)
	kubectl patch gpunode n1 --type=merge -p '{"spec": {"units": []}}' >/dev/null
	it "what nobody orders any more is not given, but for what a pod has" soon counts GA100_A100_PCIE_80GB=0 AD102GL_L40S=1
	it "that pod goes on" phase e Running
	end_pod e
	it "and when it ends, that one is not given either" soon counts AD102GL_L40S=0
}

begin --gpus 3 --ids 10de:26b9,10de:20b5 --numa 2 --audio || { echo "not ok 1 - a node with GPUs" && exit 1; }
handed_out
[ $failed = 0 ] || { echo "1..$n" && exit 1; } # what follows needs what was handed out
stays
without_us
taken_back
companions
fails
others
ordered_back
echo "1..$n"
exit $failed
