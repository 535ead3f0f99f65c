#!/bin/bash
# fit.sh: what vmgpu-node counts of a card is what a real kernel takes. Random lives of cards in a guest, of both faces of NVIDIA's driver
# (nvfake.c), of equal and of mixed sizes: after each step so many vGPUs as are counted are made, and one more is tried (fitprobe.c). Prints TAP.
#
# Variables:
#   STEPS=N  of each life (250); there are five
#   SEED=N   of their chance (1)
set -uo pipefail
prog=node/fit.sh
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$here/../lib.sh"
# shellcheck source-path=SCRIPTDIR source=test-lib.sh
. "$here/test-lib.sh"
case ${1:-} in -h | --help) usage && exit 0 ;; esac
top=$(cd "$here/../.." && pwd)
cd "$top" || exit 1
probe=build/dev/e2e/node/fitprobe
make -s "$probe" || exit 1
work=$(mktemp -d)
g=$work/guest
n=0 failed=0

clean() {
	[ ! -d "$g" ] || bash e2e/node/stop.sh "$g"
	rm -rf "$work"
}
trap clean EXIT

sriov=0000:02:00.0 t4=0000:81:00.0

# The driver anew, with these cards: nothing is left of what was on them. All is quiet on the console, which is slow.
load() { guest "dmesg -n 1; rmmod nvfake && modprobe nvfake mask=$1,$t4=10de:1eb8:030200 vgpu=none ready_ms=0 card=$2,$t4=mdev && SRIOV_MANAGE='' /usr/lib/nvidia/sriov-manage -e $sriov"; }

# life TEXT ADDRESS [mixed]
life() {
	it "$1" eval "guest $top/$probe $2 ${STEPS:-250} ${SEED:-1} ${3:-} >$work/said"
	sed 's/^/# /' "$work/said"
}

if ! command -v qemu-system-x86_64 >/dev/null; then
	echo "ok 1 - what is counted, against a kernel # SKIP no QEMU (e2e/deps.sh --test)"
	exit 0
fi
VFS=32 bash e2e/node/run.sh "$g" || exit 1
it "an L40S with 32 virtual functions" load $sriov=10de:26b9:030200 $sriov=vfio:equal
life "vendor VFIO, equal sizes (L40S): exactly as many more as are counted" $sriov
life "mediated devices on the card itself (T4): exactly as many more as are counted" $t4
it "the same L40S with mixed sizes" load $sriov=10de:26b9:030200 $sriov=vfio:mixed
life "vendor VFIO, mixed sizes (L40S): none is counted that the kernel refuses" $sriov mixed
it "an A2 in its place" load $sriov=10de:25b6:030200 $sriov=mdev:equal:only=A2-
life "mediated devices on virtual functions, equal sizes (A2): exactly as many more as are counted" $sriov
it "the same A2 with mixed sizes" load $sriov=10de:25b6:030200 $sriov=mdev:mixed:only=A2-
life "mediated devices on virtual functions, mixed sizes (A2): none is counted that the kernel refuses" $sriov mixed
echo "1..$n"
exit $failed
