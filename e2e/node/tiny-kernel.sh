#!/bin/bash
# tiny-kernel.sh: builds a kernel that Debian does not have, with IOMMUFD and VFIO's character devices (tiny.config, from Debian's source
# of 6.12), for KERNEL=tiny run.sh: ten minutes on two cores, the first time. Prints its folder, which is laid out as setup.sh's own.
set -euo pipefail
prog=tiny-kernel.sh
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$here/../lib.sh"
arguments 0 "$@"
# shellcheck disable=SC2154
node=$cache/node source=linux-source-6.12
tiny=$node/tiny new=$node/tiny.new

build() {
	local lacking
	lacking=$(for p in flex bison bc libelf-dev libssl-dev; do dpkg -s $p >/dev/null 2>&1 || echo $p; done)
	# shellcheck disable=SC2086
	[ -z "$lacking" ] || apt-get install -qy --no-install-recommends $lacking >/dev/null
	rm -rf "$new"
	mkdir -p "$new/usr/src" "$new/bin"
	debian "$new/debs" $source
	dpkg-deb --fsys-tarfile "$new"/debs/$source*.deb | tar -x -C "$new" --wildcards "./usr/src/$source.tar.xz"
	tar -xJf "$new/usr/src/$source.tar.xz" -C "$new/usr/src"
	mv "$new/usr/src/$source" "$new/usr/src/linux"
	rm -r "$new/debs" "$new/usr/src/$source.tar.xz"
	cd "$new/usr/src/linux"
	make -s allnoconfig KCONFIG_ALLCONFIG="$here/tiny.config"
	make -s -j"$(nproc)" vmlinux modules
	make -s modules_install INSTALL_MOD_PATH="$new"
	strip -o "$new/vmlinux" vmlinux
	version=$(make -s kernelrelease)
	ln -s linux "$new/usr/src/linux-headers-$version"
	rm -f "$new/lib/modules/$version"/{build,source}
	cp "$node/kernel/bin/busybox" "$new/bin/"
	cp "$here/tiny.config" "$new/version.config" # another one is another guest
	echo "$version" >"$new/version"
	rm -rf "$tiny"
	mv "$new" "$tiny"
}

"$here/setup.sh" >/dev/null
lock "$node/.tiny.lock"
if [ ! -e "$tiny/version" ] || [ "$here/tiny.config" -nt "$tiny/version" ]; then
	say "a kernel is built, which takes ten minutes"
	timed "kernel built" build >&2
fi
unlock
echo "$tiny"
