#!/bin/bash
# join.sh GUEST CLUSTER [KUBELET ARGUMENT...]: the guest that KUBELET=1 run.sh booted in GUEST joins the cluster that
# ../cluster/up.sh started in CLUSTER, as a node of its own: with Kubernetes' kubelet and Debian's containerd, which run there, and real
# containers. Returns when the Node is Ready and takes launchers of virtual machines. `kubectl logs` and `exec` work. No registry can be
# reached: images are the guest's own (images.tar of setup.sh: busybox:local, virt-launcher:v1.9.0), or come in by `image`. Pods have
# addresses among themselves, and no way out. stop.sh GUEST takes the Node and its pods away, too.
#
# join.sh image GUEST TAR   an image of image.sh for that node
# join.sh again GUEST       what a node does by itself when it has booted anew (run.sh --again)
#
# virt-handler is played (vmgpu-e2e play --handler-only, in the guest), virt-launcher is vfioprobe, and devices.kubevirt.io/tun, which
# each launcher asks for, is a resource of nodekit's plugin. What runs in the guest writes /tmp/{containerd,kubelet,tun,handler}.log there.
set -euo pipefail
prog=join.sh
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$here/../lib.sh"
# shellcheck source-path=SCRIPTDIR source=../cluster/lib.sh
. "$here/../cluster/lib.sh"
state='' cluster='' node='' port='' dir='' boot=''

# --- in the guest -------------------------------------------------------------------------------------------------------

# begin NAME COMMAND...: stays after this script
begin() {
	local name=$1
	shift
	setsid "$@" >"/tmp/$name.log" 2>&1 </dev/null &
	disown
}

# The modules are those of the unpacked kernel, which the guest sees as it sees all files. Debian's kernel has cgroup 2 with each controller.
modules() { modprobe -d "$cache/node/kernel" -a virtio_blk ext4 veth bridge tun; }

# disk: on it, containers, what the kubelet keeps, and a vmgpu-node's journal; containerd refuses overlays on overlays, and a kubelet wants to
# know how full it is
disk() {
	local folder
	mkdir -p /run/disk
	mount -t ext4 -o noatime,noinit_itable /dev/vda /run/disk
	for folder in kubelet containerd vmgpu; do
		mkdir -p "/run/disk/$folder" "/var/lib/$folder"
		mount --bind "/run/disk/$folder" "/var/lib/$folder"
	done
}

control_groups() {
	local name
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	for name in $(cat /sys/fs/cgroup/cgroup.controllers); do echo "+$name" >/sys/fs/cgroup/cgroup.subtree_control; done
}

# inside: what join.sh does in the guest. Collecting garbage late saves a third of the CPU that the start takes in emulation.
inside() { # KUBELET ARGUMENT...
	export GOGC=400 PATH=$dir/bin:$state/join/bin:$PATH HOME=/root
	modules
	disk
	control_groups
	mount --make-rshared / # volumes of pods may ask for what is mounted later
	begin containerd containerd -c "$dir/containerd.toml"
	within 120 ctr version >/dev/null 2>&1 || die "containerd does not answer; guest.sh $state cat /tmp/containerd.log"
	[ -n "$(ctr -n k8s.io image list -q)" ] || begin images ctr -n k8s.io image import "$state/join/images.tar"
	begin kubelet kubelet --config="$dir/kubelet.yaml" --kubeconfig="$dir/kubeconfig" \
		--hostname-override="$node" --node-ip=10.0.2.15 --cloud-provider=external "$@"
	begin tun nodekit plugin --device /dev/net/tun:/dev/net/tun devices.kubevirt.io/tun tun{0..19}
	begin handler "$here/../../build/vmgpu-e2e" play --handler-only "$state/kubeconfig" "$node"
}

# --- on this machine ------------------------------------------------------------------------------------------------------

# configuration: what the kubelet counts is seen within three seconds (each look costs a tenth of a second in emulation); nothing is
# evicted; the API server shows it the certificate that it serves with (up.sh), and nobody else may speak to it
configuration() {
	cat >"$dir/kubelet.yaml" <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
port: $port
healthzPort: 0
readOnlyPort: 0
tlsCertFile: $dir/kubelet.crt
tlsPrivateKeyFile: $dir/kubelet.key
authentication: {anonymous: {enabled: false}, webhook: {enabled: false}, x509: {clientCAFile: $cluster/pki/ca.crt}}
authorization: {mode: AlwaysAllow}
cgroupDriver: cgroupfs
failSwapOn: false
makeIPTablesUtilChains: false
volumePluginDir: /var/lib/kubelet/volume-plugins
resolvConf: ""
clusterDNS: [10.0.0.10]
evictionHard: {memory.available: "0%", nodefs.available: "0%", nodefs.inodesFree: "0%", imagefs.available: "0%", imagefs.inodesFree: "0%"}
imageGCHighThresholdPercent: 100
nodeStatusUpdateFrequency: 3s
Y
	cat >"$dir/containerd.toml" <<T
version = 2
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/library/pause:local"
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$state/join/cni"
    conf_dir = "$dir/net"
T
	mkdir "$dir/net"
	cat >"$dir/net/pods.conflist" <<J
{"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "bridge", "bridge": "pods", "isGateway": true, "ipam":
	{"type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": "10.88.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
J
}

api() { curl -sSf --cacert "$cluster/pki/ca.crt" -H "@$cluster/pki/authorization" "https://127.0.0.1:$(cat "$cluster/port")$1" "${@:2}"; }
see() { api "/api/v1/nodes/$node?pretty=false" 2>/dev/null; }
is_there() { see >/dev/null; }
is_ready() {
	local seen
	seen=$(see) || return 1
	[[ $seen == *'"type":"Ready","status":"True"'* && $seen == *'"kubevirt.io/schedulable":"true"'* && $seen == *'"devices.kubevirt.io/tun":"20"'*'"devices.kubevirt.io/tun":"20"'* ]]
}

# reachable: the API server finds the kubelet where QEMU forwards its port; a kubelet itself would say an address of the guest's network.
# Who sets addresses is a cloud's controller, and until it has the Node is tainted (the taint of what is not Ready comes again as long
# as that is so).
reachable() { merge /status '{"status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}}' && merge '' '{"spec": {"taints": null}}'; }
merge() { api "/api/v1/nodes/$node$1" -X PATCH -H 'Content-Type: application/merge-patch+json' -d "$2"; }

# await SECONDS TEXT COMMAND...
await() {
	within "$1" "${@:3}" >/dev/null 2>&1 && return
	say "gave up waiting for $2; the ends of the guest's logs:"
	"$here/guest.sh" "$state" sh -c 'cd /tmp && tail -n 6 containerd.log kubelet.log tun.log handler.log' | cut -c1-300 >&2
	exit 1
}

join() { # KUBELET ARGUMENT...
	local programs argument
	[ ! -e "$dir" ] || die "$state has joined $(cat "$state/cluster")"
	programs=$("$here/../cluster/build.sh" kubelet nodekit)
	make -s -C "$here/../.." build/vmgpu-e2e
	port=$(($(cat "$cluster/port") + 7))
	free_port "$port" || die "port $port of this machine is taken: has another guest joined $cluster?"
	(
		umask 077
		mkdir "$dir"
		node_identity "$cluster" "$node" "$dir" 10.0.2.2
		sed 's#127\.0\.0\.1#10.0.2.2#' "$cluster/kubeconfig" >"$state/kubeconfig"
	)
	mapfile -t programs <<<"$programs"
	mkdir "$dir/bin"
	ln -s "${programs[0]}/kubelet" "${programs[1]}/nodekit" "$dir/bin/"
	configuration
	echo "$cluster" >"$state/cluster"
	for argument; do echo "$argument"; done >"$dir/arguments"
	start
	await 120 "the kubelet to make its Node" is_there
	await 30 "an address for $node" reachable
	await 120 "$node to be Ready" is_ready
}

# start: the node's own programs, and the way to its kubelet
start() {
	local said arguments
	port=$(($(cat "$cluster/port") + 7))
	mapfile -t arguments <"$dir/arguments"
	said=$("$state/guest/gsh" monitor "$state" "hostfwd_add net tcp:127.0.0.1:$port-:$port")
	[ -z "$said" ] || die "$said"
	"$here/guest.sh" "$state" bash "$here/join.sh" inside "$state" "$cluster" "${arguments[@]}"
}

# What the API server has of the Node is of the boot before until the kubelet has spoken.
again() {
	boot=$("$here/guest.sh" "$state" cat /proc/sys/kernel/random/boot_id)
	start
	await 120 "$node to be Ready" is_back
}
is_back() { see | grep -q "\"bootID\":\"$boot\"" && is_ready; }

main() {
	local verb=join
	arguments 2 "$@"
	case $1 in inside | image | again) verb=$1 && shift ;; esac
	[ "$verb" != again ] || set -- "$1" "$(cat "$1/cluster")"
	[ $# -ge 2 ] || { usage >&2 && exit 2; }
	[ -e "$1/.vmgpu-guest" ] || die "$1 is not a guest's folder"
	state=$(cd "$1" && pwd -P) node=$(cat "$1/node") dir=$state/kubelet
	[ -e "$state/join" ] || die "$state was booted without KUBELET=1"
	if [ "$verb" = image ]; then
		exec "$here/guest.sh" "$state" "$state/join/bin/ctr" -n k8s.io image import "$(readlink -f "$2")"
	fi
	[ -e "$2/.vmgpu-cluster" ] || die "$2 is not a cluster's folder"
	cluster=$(cd "$2" && pwd -P)
	shift 2
	if [ "$verb" = inside ]; then inside "$@"; else timed "$node is Ready" "$verb" "$@"; fi
}

main "$@"
