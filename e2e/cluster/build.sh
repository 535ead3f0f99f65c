#!/bin/bash
# build.sh NAME...: makes sure that the cache has the programs of etcd, etcd-debian, kubernetes, kubevirt, kubelet,
# nodekit, helm3 or helm4, and prints the folder of each. Built from Go modules at the versions in go.mod; a folder for each set of go.mod,
# go.sum, Go sources and compiler, so that old ones may be deleted at any time. Cold, on two cores: etcd 1 min,
# kubernetes 5 min, kubelet a minute more, kubevirt 3 min, each helm 2 min. etcd-debian is Debian 12's etcd 3.4, unpacked and
# not installed: no service. kubelet is a name of its own, in kubernetes' folder, since most clusters have none; nodekit is
# what stands beside it (../tools/nodekit).
set -euo pipefail
prog=build.sh
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$here/../lib.sh"
export CGO_ENABLED=0 GOWORK=off GOFLAGS=

folder() { # MODULE
	case $1 in nodekit) echo "$here/../tools/nodekit" ;; *) echo "$here/$1" ;; esac
}

key() { # MODULE
	cd "$(folder "$1")"
	{
		go env GOVERSION
		[ -z "${GOEXPERIMENT:-}" ] || echo "$GOEXPERIMENT"
		# shellcheck disable=SC2046
		cat go.mod go.sum $(find . -name '*.go' | sort)
	} | sha256sum | cut -c1-12
}

compile() { # MODULE LDFLAGS PACKAGE...
	local module=$1 ldflags=$2 pkg name dir
	shift 2
	dir=$cache/cluster/$module-$(key "$module")
	mkdir -p "$dir"
	for pkg; do
		name=${pkg##*/}
		[ "$module" != etcd ] || name=etcd
		[ ! -x "$dir/$name" ] || continue
		say "building $name (once; output in $dir.log)"
		timed "built $name" go_build "$module" "$ldflags" "$dir/$name" "$pkg"
	done
	echo "$dir"
}

go_build() { # MODULE LDFLAGS OUTPUT PACKAGE
	local log=${3%/*}.log
	if ! (cd "$(folder "$1")" && nice go build -mod=readonly -trimpath -ldflags "-s -w $2" -o "$3.new" "$4") >>"$log" 2>&1; then
		tail -15 "$log" >&2
		die "go build $4 failed; the whole of it is in $log"
	fi
	mv "$3.new" "$3"
}

etcd_debian() {
	local dir=$cache/cluster/etcd-debian
	if [ ! -x "$dir/etcd" ]; then
		say "unpacking Debian's etcd-server"
		rm -rf "$dir.new"
		debian "$dir.new" etcd-server
		dpkg-deb --fsys-tarfile "$dir.new"/etcd-server_*.deb | tar -x -C "$dir.new" --strip-components=3 ./usr/bin/etcd
		rm "$dir.new"/*.deb
		mv "$dir.new" "$dir"
	fi
	echo "$dir"
}

kubernetes() { # PROGRAM...
	local version
	version=$(sed -n 's|^\(require\)\?[[:space:]]*k8s.io/kubernetes \(v[^ ]*\).*|\2|p' "$here/kubernetes/go.mod")
	compile kubernetes "-X k8s.io/component-base/version.gitVersion=$version" "${@/#/k8s.io/kubernetes/cmd/}"
}

# Which Kubernetes it renders for where there is no cluster is a matter of linking; Helm 4 knows it by itself.
helm3() {
	local of=helm.sh/helm/v3/pkg/chartutil.k8sVersion minor
	minor=$(sed -n 's|^[[:space:]]*k8s.io/client-go v0\.\([0-9]*\)\..*|\1|p' "$here/helm3/go.mod")
	compile helm3 "-X ${of}Major=1 -X ${of}Minor=$minor" helm.sh/helm/v3/cmd/helm
}

main() {
	local name
	mkdir -p "$cache/cluster"
	lock "$cache/cluster/.lock"
	for name; do
		case $name in
		etcd) compile etcd '' go.etcd.io/etcd/server/v3 ;;
		etcd-debian) etcd_debian ;;
		kubernetes) kubernetes kube-apiserver kube-controller-manager kube-scheduler kubectl ;;
		kubelet) kubernetes kubelet ;;
		helm3) helm3 ;;
		helm4) compile helm4 '' helm.sh/helm/v4/cmd/helm ;;
		nodekit) compile nodekit '' vmgpu.io/e2e/nodekit ;;
		# With Go's newer JSON code, of the same results, virt-api needs a quarter less CPU to start.
		kubevirt) GOEXPERIMENT=jsonv2 compile kubevirt '' kubevirt.io/kubevirt/cmd/{virt-api,virt-controller} kubevirt/objects ;;
		-h | --help) usage ;;
		*) usage >&2 && exit 2 ;;
		esac
	done
	unlock
}

main "$@"
