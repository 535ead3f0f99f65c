#!/bin/bash
# kubelet.sh VERB STATE NODE [ARGUMENT...]: a real kubelet on this machine as a node of the cluster that up.sh started in STATE. The
# kubelet is Kubernetes' own: it counts devices, calls Allocate, answers on its pod-resources socket. Its container runtime is played
# (nodekit of ../tools): no container ever runs, but what each would have got is written down, in STATE/nodes/NODE/runtime/containers.
# Any number of nodes. Needs root. Kubelet, runtime and what `run` and `enter` start share a private mount namespace, in which
# /var/lib/kubelet, /var/lib/vmgpu and /var/log are folders of STATE/nodes/NODE (device-plugins is at a fixed place).
#
#   start [KUBELET ARGUMENT...]   returns when the Node is Ready
#   stop                          ends it all, and takes the Node and its pods away; down.sh ends it, too
#   run NAME COMMAND...           starts a command beside the kubelet, until stop; its output goes to STATE/log/NAME@NODE
#   end NAME [SIGNAL]             ends what run started, or kubelet, or runtime (TERM), and waits for that
#   again NAME                    starts that again as it was
#   enter COMMAND...              runs a command beside the kubelet, e.g. nodekit resources: who has which devices
#
# Variables:
#   TREE=FOLDER   at start: a tree of ../bench/mktree.py. Its /dev is there for all, its /sys for what run and enter start
set -euo pipefail
prog=kubelet.sh
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$here/../lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"
state='' node='' dir=''

# --- the namespace -----------------------------------------------------------------------------------------------------

# space: what its first process does, which holds it from then on
space() {
	mkdir -p "$dir"/{kubelet,vmgpu,log,lib/kubelet,lib/vmgpu,sysctl}
	# Where this machine has no such folders it does not get them.
	mount -t overlay -o "lowerdir=$dir/lib:/var/lib" overlay /var/lib
	mount --bind "$dir/kubelet" /var/lib/kubelet
	mount --bind "$dir/vmgpu" /var/lib/vmgpu
	mount --bind "$dir/log" /var/log
	sysctls
	[ -z "${TREE:-}" ] || devices
	: >"$dir/ready"
	exec sleep infinity
}

# A kubelet sets these of the whole machine, unless they are so (setupKernelTunables in pkg/kubelet/cm): here it finds them so.
sysctls() {
	local row file
	for row in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
		kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
		file=$dir/sysctl/${row//\//.}
		echo "${row#*=}" >"$file"
		mount --bind "$file" "/proc/sys/${row%=*}"
	done
}

# The kubelet reads /dev/kmsg for what the kernel killed.
devices() {
	local name
	for name in null zero full random urandom tty kmsg; do
		[ -e "$TREE/dev/$name" ] || : >"$TREE/dev/$name"
		mount --bind "/dev/$name" "$TREE/dev/$name"
	done
	mkdir -p "$TREE/dev/shm"
	mount --rbind "$TREE/dev" /dev
	echo "$TREE" >"$dir/tree"
}

# into FOLDER: sets into, the words before a command that make it run in the namespace, in that folder
into() { into=(nsenter --mount="/proc/$(cat "$state/pid/space@$node")/ns/mnt" --wdns="$1"); }

# beside: sets beside, the words before a command that give it the tree's /sys
beside() {
	beside=()
	# shellcheck disable=SC2016
	[ ! -e "$dir/tree" ] ||
		beside=(unshare --mount --propagation private bash -c 'mount --rbind "$0/sys" /sys && exec "$@"' "$(cat "$dir/tree")")
}

# --- processes: pid/NAME@NODE and log/NAME@NODE beside those of up.sh, and in nodes/NODE/run/NAME how to start it again ---------

launch() { # NAME COMMAND...
	local name=$1 into
	shift
	printf '%q ' "$@" >"$dir/run/$name"
	into "$state"
	background "$name" "${into[@]}" "$@"
}

background() { # NAME COMMAND...
	local name=$1
	shift
	detached "$@" >>"$state/log/$name@$node" 2>&1 </dev/null &
	echo $! >"$state/pid/$name@$node"
	disown
}

runs() { alive "$(cat "$state/pid/$1@$node" 2>/dev/null)" "$state"; } # NAME
over() { ! runs "$1"; }

signal() { # NAME SIGNAL: to it, and what it started
	local pid
	pid=$(cat "$state/pid/$1@$node")
	! alive "$pid" "$state" || kill "-$2" -- "-$pid" 2>/dev/null || true
}

end() { # NAME [SIGNAL]: SIGKILL follows if that does not help
	[ -e "$dir/run/$1" ] || die "nothing called $1 was started on $node"
	signal "$1" "${2:-TERM}"
	within 10 over "$1" || signal "$1" KILL
	within 10 over "$1"
}

again() { # NAME
	local words
	[ -e "$dir/run/$1" ] || die "nothing called $1 was started on $node"
	over "$1" || die "$1 of $node runs"
	eval "words=($(cat "$dir/run/$1"))"
	launch "$1" "${words[@]}"
}

run() { # NAME COMMAND...
	local name=$1 beside
	shift
	[ ! -e "$dir/run/$name" ] || over "$name" || die "$name of $node runs"
	beside
	launch "$name" ${beside[@]+"${beside[@]}"} "$@"
}

enter() { # COMMAND...
	local into beside
	into "$from"
	beside
	exec "${into[@]}" ${beside[@]+"${beside[@]}"} "$@"
}

await() { # SECONDS NAME TEXT COMMAND...: NAME is who must run meanwhile
	local end=$((SECONDS + $1)) name=$2 text=$3
	shift 3
	until "$@" >/dev/null 2>&1; do
		if over "$name" || [ $SECONDS -ge $end ]; then
			say "waiting for $text: $(over "$name" && echo "$name has ended" || echo 'gave up'); the end of $state/log/$name@$node:"
			tail -n 12 "$state/log/$name@$node" | cut -c1-400 >&2
			exit 1
		fi
		nap 0.1
	done
}

# --- the node -----------------------------------------------------------------------------------------------------------

# configuration: no server of its own (logs and exec have nothing behind them), no cgroup, no iptables, nothing evicted; what it
# counts is seen within a second. The certificate is not used, and saves it from making one.
configuration() {
	cat >"$dir/kubelet.yaml" <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix:///var/lib/kubelet/runtime.sock
enableServer: false
healthzPort: 0
readOnlyPort: 0
tlsCertFile: $dir/kubelet.crt
tlsPrivateKeyFile: $dir/kubelet.key
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
failSwapOn: false
makeIPTablesUtilChains: false
volumePluginDir: /var/lib/kubelet/volume-plugins
resolvConf: ""
evictionHard: {memory.available: "0%", nodefs.available: "0%", nodefs.inodesFree: "0%", imagefs.available: "0%", imagefs.inodesFree: "0%"}
imageGCHighThresholdPercent: 100
nodeStatusUpdateFrequency: 1s
Y
}

# addresses: an address of this machine, which a kubelet else looks up by its node's name. None where there is only the loopback
addresses() {
	local ip
	ip=$(ip -4 -o address show scope global | awk '{sub("/.*", "", $4); print $4; exit}')
	[ -z "$ip" ] || echo "--node-ip=$ip"
}

is_ready() {
	curl -sSf --cacert "$state/pki/ca.crt" -H "@$state/pki/authorization" "https://127.0.0.1:$(cat "$state/port")/api/v1/nodes/$node?pretty=false" |
		grep -q '"type":"Ready","status":"True"'
}

failed() {
	local status=$?
	[ "$status" != 0 ] || return 0
	trap '' INT TERM ERR
	finish
	say "$node is stopped; its logs stay in $state/log"
	exit "$status"
}

start() { # KUBELET ARGUMENT...
	local programs=() list
	[ ! -e "$dir" ] || die "$node is there already ($prog stop $state $node?)"
	case $state/ in /var/lib/* | /var/log/*) die "$state: not there, where the node will have folders of its own" ;; esac
	list=$("$here/build.sh" kubelet nodekit)
	mapfile -t programs <<<"$list"
	mkdir -p "$dir/run"
	trap 'exit 130' INT
	trap 'exit 143' TERM
	trap failed EXIT
	rm -f "$state"/log/*"@$node"
	printf '%s:' "${programs[@]}" >"$dir/path"
	PATH=$(cat "$dir/path")$PATH
	node_identity "$state" "$node" "$dir" 127.0.0.1
	configuration
	background space unshare --mount --propagation private "$here/kubelet.sh" space "$state" "$node"
	await 10 space 'its mounts' test -e "$dir/ready"
	launch runtime nodekit runtime /var/lib/kubelet/runtime.sock "$dir/runtime"
	await 10 runtime "the runtime's socket" test -S "$dir/kubelet/runtime.sock"
	# shellcheck disable=SC2046
	launch kubelet kubelet --config="$dir/kubelet.yaml" --kubeconfig="$dir/kubeconfig" --hostname-override="$node" $(addresses) "$@"
	timed "$node is Ready" await 60 kubelet "$node to be Ready" is_ready
}

# finish: ends every process; the mounts go with the last
finish() {
	local file name
	for file in "$state"/pid/*"@$node"; do
		name=${file##*/}
		[ ! -e "$file" ] || signal "${name%"@$node"}" KILL
	done
	for file in "$state"/pid/*"@$node"; do
		[ -e "$file" ] || continue
		name=${file##*/} name=${name%"@$node"}
		within 10 over "$name" || die "$name of $node does not end"
		rm -f "$file"
	done
	rm -rf "$dir"
}

stop() {
	[ -e "$dir" ] || return 0
	finish
	# shellcheck source=/dev/null
	. "$state/env"
	kubectl delete pods -A --field-selector "spec.nodeName=$node" --force --grace-period=0 >/dev/null 2>>"$state/log/kubectl" || true
	kubectl delete node "$node" --ignore-not-found >/dev/null
	rm -f "$state"/log/*"@$node"
}

main() {
	local verb least from=$PWD
	arguments 3 "$@"
	[ "$(id -u)" = 0 ] || die "needs root"
	[ -e "$2/.vmgpu-cluster" ] || die "$2 is not a cluster's folder"
	[ -z "${TREE:-}" ] || [ -d "$TREE/dev" ] || die "TREE=$TREE: no tree of mktree.py"
	[ -z "${TREE:-}" ] || TREE=$(readlink -f "$TREE")
	export TREE=${TREE:-}
	verb=$1 state=$(cd "$2" && pwd -P) node=$3 dir=$state/nodes/$3
	shift 3
	case $verb in
	start | stop | space) least=0 ;;
	end | again | enter) least=1 ;;
	run) least=2 ;;
	*) usage >&2 && exit 2 ;;
	esac
	[ $# -ge $least ] || { usage >&2 && exit 2; }
	[ $least = 0 ] || [ -e "$dir/path" ] || die "no node $node in $state"
	[ ! -e "$dir/path" ] || PATH=$(cat "$dir/path")$PATH
	cd "$state"
	"$verb" "$@"
}

main "$@"
