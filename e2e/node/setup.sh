#!/bin/bash
# setup.sh: makes in the cache what run.sh boots, and prints the folder: vmlinux and initrd (Debian 12's kernel, unpacked
# and never installed; busybox, nvfake.ko, gsh, init), and vfioprobe. About 30 s the first time, 0.1 s after that. The kernel is what
# Debian had then: to take a newer one, remove node/ from the cache.
#
# Variables:
#   KERNEL=tiny kernel and modules are those of tiny-kernel.sh
#   KUBELET=1   prints a second folder, of what join.sh needs: bin/ and cni/ (Debian's containerd, runc and network plugins, unpacked and
#               never installed), images.tar (image.sh: busybox, the pause of sandboxes, virt-launcher's stand-in), disk (an empty file
#               system of 2 GB, of which nothing is there yet)
set -euo pipefail
prog=setup.sh
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$here/../lib.sh"
node=$cache/node
built=$node/${KERNEL:-kernel} # where kernel, modules and headers are

# Loaded in the guest, by init or by whoever needs them. bochs and nvme are what the emulated cards are without nvfake.
modules="virtio_pci virtio_console virtio_net 9pnet_virtio 9p overlay vfio_pci vfio_iommu_type1 mdev snd_hda_intel
bochs nvme shpchp pci_stub pci_pf_stub"

# fetch: the newest kernel of Debian 12, into $node/kernel.new; sets version
fetch() {
	local image abi debs=$node/kernel.new/debs
	image=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-6\.1\.0-[0-9]*-amd64\)$/\1/p' | head -1)
	[ -n "$image" ] || die "apt knows no linux-image-amd64 of Debian 12 (apt-get update first?)"
	version=${image#linux-image-}
	abi=${version%-amd64}
	debian "$debs" "$image" "linux-headers-$version" "linux-headers-$abi-common" linux-kbuild-6.1 busybox-static
	local deb
	for deb in "$debs"/*.deb; do dpkg-deb -x "$deb" "$node/kernel.new"; done
	rm -r "$debs"
}

# extract BZIMAGE: the ELF file in it, which QEMU boots without unpacking xz in emulation (header: Documentation/x86/boot.rst)
extract() {
	local sectors offset length
	sectors=$(od -An -tu1 -j497 -N1 "$1")
	offset=$(od -An -tu4 -j584 -N4 "$1")
	length=$(od -An -tu4 -j588 -N4 "$1")
	dd if="$1" bs=1M iflag=skip_bytes,count_bytes skip=$(((sectors + 1) * 512 + offset)) count="$length" status=none |
		xz -dc --single-stream
}

kernel() {
	local new=$node/kernel.new headers
	rm -rf "$new"
	fetch
	headers=$new/usr/src/linux-headers-$version
	# Debian's headers name each other by where a package would install them.
	sed -i "s#^include .*#include $node/kernel/usr/src/linux-headers-${version%-amd64}-common/Makefile#" "$headers/Makefile"
	extract "$new/boot/vmlinuz-$version" >"$new/vmlinux"
	[ "$(head -c 4 "$new/vmlinux" | tail -c 3)" = ELF ] || die "no ELF kernel in vmlinuz-$version"
	rm "$new/boot/vmlinuz-$version"
	depmod -b "$new" "$version"
	echo "$version" >"$new/version"
	mv "$new" "$node/kernel"
}

module() { # FOLDER
	cp "$here/nvfake.c" "$here/nvfake_rm.h" "$1/"
	awk -f "$here/nvfake_types.awk" "$here/nvfake_types.tsv" >"$1/nvfake_types.h"
	echo 'obj-m := nvfake.o' >"$1/Makefile"
	make -s -C "$built/usr/src/linux-headers-$version" M="$1" CONFIG_DEBUG_INFO_BTF_MODULES= modules
}

# containers: containerd and what it starts, as Debian has them, into $node/containers
containers() {
	local new=$node/containers.new deb
	rm -rf "$new"
	debian "$new/debs" containerd runc containernetworking-plugins
	for deb in "$new"/debs/*.deb; do dpkg-deb -x "$deb" "$new/all"; done
	mkdir "$new/bin" "$new/cni"
	mv "$new"/all/usr/bin/{containerd,containerd-shim-runc-v2,ctr} "$new/all/usr/sbin/runc" "$new/bin/"
	mv "$new"/all/usr/lib/cni/{bridge,host-local,loopback} "$new/cni/"
	rm -r "$new/all" "$new/debs"
	mv "$new" "$node/containers"
}

# make_join FOLDER: whole or not at all, as make_guest. What stands in for virt-tail, a sidecar of a launcher, has only to run.
make_join() {
	local new=$1.new tail
	rm -rf "$new"
	mkdir "$new"
	ln -s "$node/containers/bin" "$node/containers/cni" "$new/"
	tail=$new/virt-tail
	printf '#!/bin/sh\ntrap "exit 0" TERM INT\nsleep 2147483647 &\nwait\n' >"$tail"
	"$here/image.sh" "$new/images.tar" busybox:local,pause:local,virt-launcher:v1.9.0 \
		"$guest/vfioprobe:usr/bin/virt-launcher-monitor" "$tail:usr/bin/virt-tail"
	truncate -s 2G "$new/disk"
	mke2fs -q -t ext4 -E nodiscard "$new/disk"
	mv "$new" "$1"
}

# initrd FOLDER: busybox, the modules with what they need, nvfake, gsh, init, sriov-manage
initrd() {
	local root=$1/root lib=lib/modules/$version line
	mkdir -p "$root"/{bin,sbin,proc,sys,dev,etc,root} "$root/$lib/extra"
	cp "$built/bin/busybox" "$1/gsh" "$root/bin/"
	cp "$here/init" "$here/sriov-manage" "$root/"
	cp "$1/nvfake.ko" "$root/$lib/extra/"
	cp "$built/$lib"/modules.{builtin,order} "$root/$lib/"
	# shellcheck disable=SC2086
	{ modprobe -d "$built" -S "$version" ${KERNEL:+-q} -a -D $modules || [ -n "${KERNEL:-}" ]; } | # of another kernel's some are built in, or not there
		sed -n "s|^insmod .*/$lib/\([^ ]*\).*|\1|p" | sort -u |
		while read -r line; do install -D -m 644 "$built/$lib/$line" "$root/$lib/$line"; done
	depmod -b "$root" "$version"
	(cd "$root" && find . | cpio -o -H newc --quiet) >"$1/initrd"
	rm -r "$root"
}

# make_guest FOLDER: in FOLDER.new, whole or not at all
make_guest() {
	local new=$1.new log=$1.log
	rm -rf "$new"
	mkdir "$new"
	if ! (
		set -e
		gcc -std=gnu17 -O1 -Wall -Wextra -static -o "$new/gsh" "$here/gsh.c"
		gcc -std=gnu17 -O1 -Wall -Wextra -static -o "$new/vfioprobe" "$here/vfioprobe.c"
		module "$new"
		initrd "$new"
	) >"$log" 2>&1; then
		tail -15 "$log" >&2
		die "could not build the guest; the whole of it is in $log"
	fi
	ln "$built/vmlinux" "$new/vmlinux"
	mv "$new" "$1"
}

main() {
	local join=''
	arguments 0 "$@"
	mkdir -p "$node"
	lock "$node/.lock"
	[ -e "$node/kernel/version" ] || timed "kernel unpacked" kernel
	version=$(cat "$built/version")
	guest=$node/guest-$(cat "$built"/version* "$here"/{setup.sh,nvfake.c,nvfake_rm.h,nvfake_types.awk,nvfake_types.tsv,sriov-manage,gsh.c,vfioprobe.c,init} | sha256sum | cut -c1-12)
	[ -d "$guest" ] || timed "guest built" make_guest "$guest"
	if [ -n "${KUBELET:-}" ]; then
		[ -d "$node/containers" ] || timed "containerd unpacked" containers
		join=$node/join-$(cat "$guest/vfioprobe" "$here"/{setup,image}.sh | sha256sum | cut -c1-12)
		[ -d "$join" ] || timed "images made" make_join "$join"
	fi
	unlock
	printf '%s\n' "$guest" ${join:+"$join"}
}

main "$@"
