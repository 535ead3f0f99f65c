#!/bin/bash
# images.sh [FOLDER]: writes the images of the chart as OCI archives, vmgpu-controller.tar and vmgpu-node.tar, into FOLDER (build/images), and what is in
# them as SPDX (NAME.spdx.json). No registry, no daemon: `ctr -n k8s.io images import` takes them, and `skopeo copy oci-archive:...` brings them to a
# registry. From scratch: our programs, the files of Debian's packages that they are linked with, and those packages' licences; no shell. From the same
# programs and packages come the same bytes, so the same digest.
#
# Variables:
#   V=release   build of the programs
set -euo pipefail
prog=manifests/images.sh
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source-path=SCRIPTDIR source=../e2e/lib.sh
. "$top/e2e/lib.sh"
case ${1:-} in -h | --help) usage && exit 0 ;; esac
cd "$top"
V=${V:-release} out=${1:-build/images}
version=$(awk '$1 == "appVersion:" { print $2 }' manifests/chart/vmgpu/Chart.yaml)
epoch=1970-01-01T00:00:00Z
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# --- files ----------------------------------------------------------------------------------------------------------------------

# put FILE PATH [MODE]
put() { install -D -m "${3:-755}" "$1" "$root/$2"; }

# linked FILE...: what they are linked with, by the names that the loader looks for
linked() { ldd "$@" | awk '$2 == "=>" && $3 ~ "^/" { print $3 } $1 ~ "^/" && !/:$/ { print $1 }' | sort -u; }

# packages FILE...: whose they are. dpkg knows some by the name that they had before /lib became /usr/lib
packages() {
	local file real names=()
	for file; do
		real=$(readlink -f "$file")
		names+=("$real" "${real#/usr}")
	done
	{ dpkg -S "${names[@]}" 2>/dev/null || true; } | cut -d: -f1 | sort -u
}

# licences PACKAGE...: what Debian says of each, and the texts that it refers to
licences() {
	local p name
	for p; do
		put "$(readlink -f "/usr/share/doc/$p/copyright")" "usr/share/doc/$p/copyright" 644
	done
	put LICENSE usr/share/doc/vmgpu/copyright 644
	for name in $(grep -oh '/usr/share/common-licenses/[A-Za-z0-9.-]*[A-Za-z0-9]' "$root"/usr/share/doc/*/copyright | sort -u); do
		[ ! -f "$name" ] || put "$(readlink -f "$name")" "${name#/}" 644
	done
}

# fill FILE:PATH...: root, with these and what they are linked with. Prints the packages
fill() {
	local pair lib files=() libraries foreign=()
	mkdir -p "$root"/usr/lib/x86_64-linux-gnu "$root"/usr/lib64 "$root"/etc
	ln -s usr/lib "$root/lib"
	ln -s usr/lib64 "$root/lib64"
	for pair; do
		put "${pair%%:*}" "${pair#*:}" "$([ -x "${pair%%:*}" ] && echo 755 || echo 644)"
		case $pair in build/*) ;; *) foreign+=("${pair%%:*}") ;; esac
		[ ! -x "${pair%%:*}" ] || files+=("${pair%%:*}")
	done
	mapfile -t libraries < <(linked "${files[@]}")
	for lib in "${libraries[@]}"; do put "$lib" "usr/${lib#/}"; done
	packages "${libraries[@]}" ${foreign[@]+"${foreign[@]}"}
}

# --- what is in it --------------------------------------------------------------------------------------------------------------

# spdx NAME PACKAGE...: SPDX 2.3. Debian's licences are in its copyright files, which are no SPDX expressions
spdx() {
	local name=$1 p v of
	declare -A versions=()
	shift
	while read -r p v; do versions[$p]=$v; done < <(dpkg-query -W -f '${Package} ${Version}\n' "$@")
	of=$(cd "$root" && find . -type f ! -name '*.spdx.json' -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-32)
	printf '{"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": "%s-%s",\n' "$name" "$version"
	printf ' "documentNamespace": "https://vmgpu.io/spdx/%s-%s-%s",\n "creationInfo": {"created": "%s", "creators": ["Tool: manifests/images.sh"]},\n' "$name" "$version" "$of" $epoch
	printf ' "packages": [\n  {"SPDXID": "SPDXRef-vmgpu", "name": "vmgpu", "versionInfo": "%s", "downloadLocation": "NOASSERTION", "filesAnalyzed": false,\n' "$version"
	printf '   "licenseConcluded": "Apache-2.0", "licenseDeclared": "Apache-2.0", "copyrightText": "NOASSERTION"}'
	for p; do
		v=${versions[$p]}
		printf ',\n  {"SPDXID": "SPDXRef-%s", "name": "%s", "versionInfo": "%s", "supplier": "Organization: Debian", "downloadLocation": "NOASSERTION", "filesAnalyzed": false,\n' "${p//[^A-Za-z0-9.-]/-}" "$p" "$v"
		printf '   "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION", "copyrightText": "NOASSERTION", "licenseComments": "usr/share/doc/%s/copyright",\n' "$p"
		printf '   "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": "pkg:deb/debian/%s@%s?arch=%s"}]}' "$p" "${v//:/%3A}" "$arch"
	done
	printf '\n ],\n "relationships": [\n  {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-vmgpu"}'
	for p; do
		printf ',\n  {"spdxElementId": "SPDXRef-vmgpu", "relationshipType": "DEPENDS_ON", "relatedSpdxElement": "SPDXRef-%s"}' "${p//[^A-Za-z0-9.-]/-}"
	done
	printf '\n ]}\n'
}

# --- the archive ----------------------------------------------------------------------------------------------------------------

flat() { tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=gnu -C "$1" -cf - "${@:2}"; }
blob() { # FILE: moves it to its place; prints its digest
	local sum
	sum=$(sha256sum "$1" | cut -d' ' -f1)
	mv "$1" "$image/blobs/sha256/$sum"
	echo "sha256:$sum"
}
size() { stat -c %s "$image/blobs/sha256/${1#sha256:}"; }

archive() { # NAME USER PROGRAM
	local name=$1 image=$work/$1.oci diff layer config manifest
	find "$root" -type d -exec chmod 755 {} +
	mkdir -p "$image/blobs/sha256"
	flat "$root" . >"$work/layer.tar"
	diff=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
	gzip -n -9 "$work/layer.tar"
	layer=$(blob "$work/layer.tar.gz")
	printf '{"created": "%s", "architecture": "%s", "os": "linux", "config": {"User": "%s", "Env": ["PATH=/usr/sbin:/usr/bin"], "Entrypoint": ["%s"], "Labels": {"org.opencontainers.image.title": "%s", "org.opencontainers.image.version": "%s", "org.opencontainers.image.licenses": "Apache-2.0"}}, "rootfs": {"type": "layers", "diff_ids": ["sha256:%s"]}, "history": [{"created": "%s", "created_by": "manifests/images.sh"}]}' \
		$epoch "$arch" "$2" "$3" "$name" "$version" "$diff" $epoch >"$work/config"
	config=$(blob "$work/config")
	printf '{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "%s", "size": %s}, "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": "%s", "size": %s}]}' \
		"$config" "$(size "$config")" "$layer" "$(size "$layer")" >"$work/manifest"
	manifest=$(blob "$work/manifest")
	printf '{"imageLayoutVersion": "1.0.0"}' >"$image/oci-layout"
	printf '{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "%s", "size": %s, "platform": {"architecture": "%s", "os": "linux"}, "annotations": {"org.opencontainers.image.ref.name": "%s", "io.containerd.image.name": "docker.io/library/%s:%s"}}]}' \
		"$manifest" "$(size "$manifest")" "$arch" "$version" "$name" "$version" >"$image/index.json"
	flat "$image" oci-layout index.json blobs >"$out/$name.tar"
	printf '%s %s %s bytes, compressed\n' "$name:$version" "$manifest" "$(size "$layer")"
}

# image NAME USER FILE:PATH...: the first is what it runs
image() {
	local name=$1 root=$work/$1 list
	mapfile -t list < <(fill "${@:3}")
	licences "${list[@]}"
	spdx "$name" "${list[@]}" >"$out/$name.spdx.json"
	put "$out/$name.spdx.json" usr/share/doc/vmgpu/vmgpu.spdx.json 644
	archive "$name" "$2" "/${3#*:}"
}

arch=$(dpkg --print-architecture)
mkdir -p "$out"
out=$(cd "$out" && pwd)
make -s V="$V" "build/$V"/{vmgpu-controller,vmgpu-node,kubectl-vmgpu}
image vmgpu-controller 65532:65532 "build/$V/vmgpu-controller:usr/bin/vmgpu-controller" "build/$V/kubectl-vmgpu:usr/bin/kubectl-vmgpu"
image vmgpu-node 0:0 "build/$V/vmgpu-node:usr/bin/vmgpu-node" /usr/bin/kmod:usr/sbin/modprobe /usr/share/misc/pci.ids:usr/share/misc/pci.ids
