#!/bin/bash
# real-gpu.sh [--pack]: vmgpu-node on a machine with a real NVIDIA GPU on NVIDIA's driver: what it reports, whom its eyes see with the card
# while CUDA has it and before and after, and what it reads by NVML, beside nvidia-smi's own words. It changes nothing on the machine. Prints TAP.
# With --pack it makes build/real-gpu instead, with this test, the release build and the libraries that it needs, which is carried to a machine
# that has none of them: there, bash build/real-gpu/real-gpu.sh, as root. It needs python3 and takes two minutes.
#
# Variables:
#   OUT=DIR  where what the machine shows of its GPUs is left, for the tables of the tests (none)
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)

pack() {
	local top=$here/../.. to lib
	cd "$top" || exit 1
	make -s V=release build/release/vmgpu-node build/release/e2e/node/fakenvml.so || exit 1
	to=build/real-gpu
	rm -rf "$to" && mkdir -p "$to/lib" "$to/glibc"
	cp build/release/vmgpu-node build/release/e2e/node/fakenvml.so e2e/node/real-gpu.sh e2e/node/real-gpu.py "$to/"
	ldd build/release/vmgpu-node | grep -o '/[^ ]*' | while read -r lib; do
		case ${lib##*/} in
		ld-linux* | libc.so* | libm.so* | libpthread.so* | libdl.so* | librt.so* | libresolv.so*) cp -L "$lib" "$to/glibc/" ;;
		*) cp -L "$lib" "$to/lib/" ;;
		esac
	done
	du -sh "$to"
}

case ${1:-} in
-h | --help) sed -n '2,${/^#/!q;s/^# \{0,1\}//p}' "$0" && exit 0 ;;
--pack) pack && exit 0 || exit 1 ;;
esac
if ! grep -qs 0x10de /sys/bus/pci/devices/*/vendor || [ ! -d /proc/driver/nvidia/gpus ]; then
	echo "ok 1 - vmgpu-node on a real GPU # SKIP no NVIDIA GPU on NVIDIA's driver here"
	echo 1..1
	exit 0
fi
# The machine's own C library does where it is as new; else the one that was carried does, loader and all.
node=("$here/vmgpu-node")
export LD_LIBRARY_PATH="$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
if ! "${node[@]}" --version >/dev/null 2>&1; then
	node=("$here/glibc/ld-linux-x86-64.so.2" --library-path "$here/lib:$here/glibc:$LD_LIBRARY_PATH" "$here/vmgpu-node")
fi
exec python3 "$here/real-gpu.py" "$here/fakenvml.so" "${node[@]}"
