#!/bin/bash
# image.sh TAR NAME[,NAME...] [FILE:PATH...]: writes a container image in the format that `ctr image import` and docker load read: Debian's
# static busybox as /bin/sh and its kin, and the given files of this machine at their places. The names are those that it goes by in pods
# (busybox:local; imagePullPolicy is Never or IfNotPresent there, since no registry has it). It runs `sleep` unless a pod says more.
set -euo pipefail
prog=image.sh
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$here/../lib.sh"
busybox=$cache/node/kernel/bin/busybox # of setup.sh
work=''

clean() { rm -rf "$work"; }

main() {
	local tar names='' name pair applet id
	arguments 2 "$@"
	tar=$(readlink -f "$(dirname "$1")")/${1##*/}
	for name in ${2//,/ }; do names+="${names:+,}\"docker.io/library/$name\""; done
	shift 2
	work=$(mktemp -d)
	trap clean EXIT
	mkdir -p "$work"/root/{bin,tmp,proc,sys,dev,etc}
	cp "$busybox" "$work/root/bin/busybox"
	for applet in sh cat echo env id ls mkdir ps sleep touch true; do ln -s busybox "$work/root/bin/$applet"; done
	for pair; do install -D -m 755 "${pair%%:*}" "$work/root/${pair#*:}"; done
	tar --owner=0 --group=0 --sort=name --mtime=@0 -C "$work/root" -cf "$work/layer.tar" .
	id=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
	printf '{"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/sleep", "2147483647"], "Env": ["PATH=/bin:/usr/bin"]},
"rootfs": {"type": "layers", "diff_ids": ["sha256:%s"]}}' "$id" >"$work/config.json"
	printf '[{"Config": "config.json", "RepoTags": [%s], "Layers": ["layer.tar"]}]' "$names" >"$work/manifest.json"
	tar -C "$work" -cf "$tar" config.json manifest.json layer.tar
}

main "$@"
