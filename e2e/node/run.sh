#!/bin/bash
# run.sh STATE [KUBECONFIG]: boots a GPU node in QEMU (no KVM needed) in the new folder STATE and returns when commands
# can be run there: guest.sh STATE COMMAND... The guest has a real kernel with an IOMMU, emulated cards with the ids of
# NVIDIA's (below), and every file of this machine at the same place, writable without effect here. It reaches servers
# on this machine's 127.0.0.1 as 10.0.2.2; STATE/kubeconfig is KUBECONFIG with that address. stop.sh STATE ends it.
#
# run.sh --again STATE: its power fails and comes back. Nothing of its memory is left, all that it had on its disk is; if it was a node of a
# cluster (join.sh), it becomes one again by itself. NVFAKE, where it is set, takes the place of what it was.
#
#   address          card                      group, driver
#   01:00.0, .1      L40S and its audio        one group; nvidia, snd_hda_intel
#   02:00.0          A100 80GB PCIe            SR-IOV, 4 functions (VFS)
#   03:00.0          A10                       in a slot that can be emptied and filled (slot.sh)
#   81:00.0          H100L 94GB                NUMA node 1
#   84:00.0 85:00.0  two T4 behind a switch    one group (no ACS); NUMA node 1
#   00:01.0          the console's VGA         not a GPU for anybody
#
# Variables:
#   NODE=NAME            the guest's host name; default gpu-node
#   NVFAKE="ARG..."      arguments for nvfake.ko (see nvfake.c), e.g. "driver=0" or "vgpu=vfio card=0000:02:00.0=vfio:mixed"
#   MASK=RULE,...        the ids, instead of those above
#   CARD=DEVICE          what stands for the other cards, for QEMU; default bochs-display, which has no reset; "nvme,serial=card" has one
#   VFS=N                virtual functions that the A100 can have; default 4, at most 120
#   KERNEL=tiny          the kernel of tiny-kernel.sh, with IOMMUFD, in the place of Debian's
#   KERNEL_ARGS="..."    e.g. intel_iommu=off, which comes after our own intel_iommu=on
#   QEMU_ARGS="..."      more devices; each needs bus=
#   MEM=MiB              default 1024; 3072 with KUBELET
#   KUBELET=1            with a disk and what else join.sh needs to make it a node of a cluster
set -euo pipefail
prog=run.sh
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$here/../lib.sh"
state=''

ids=0000:01:00.0=10de:26b9:030200,0000:01:00.1=10de:22ba:040300,0000:02:00.0=10de:20b5:030200
ids+=,0000:03:00.0/1234:1111=10de:2236:030200,0000:03:00.0/1b36:0005=10de:1db6:030200
ids+=,0000:81:00.0=10de:2321:030200,0000:84:00.0=10de:1eb8:030200,0000:85:00.0=10de:1eb8:030200

# shellcheck disable=SC2054
# What costs much in emulation and is not needed: programs that use AVX, each write to the timer of the APIC (so ticks of 4 ms, and no timers
# between them), accounts of pressure. Without them a node needs three fifths of the CPU to join a cluster, and to start a pod.
machine() {
	local mem=${MEM:-$([ -e join ] && echo 3072 || echo 1024)} i
	qemu=(
		qemu-system-x86_64 -machine q35 -accel tcg,thread=single -cpu "${CPU:-max,-avx,-avx2,-f16c,-fma}" -smp 1 -m "$mem"
		-nodefaults -no-user-config -display none -no-reboot -serial file:console.log -qmp unix:qmp,server=on,wait=off
		-object memory-backend-ram,size=$((mem / 2))M,id=m0 -object memory-backend-ram,size=$((mem / 2))M,id=m1
		-numa node,nodeid=0,cpus=0,memdev=m0 -numa node,nodeid=1,memdev=m1
		-device intel-iommu,intremap=on
		-fsdev local,id=host,path=/,security_model=none,readonly=on,multidevs=remap
		-device virtio-9p-pci,bus=pcie.0,addr=10.0,fsdev=host,mount_tag=host
		-netdev user,id=net -device virtio-net-pci,bus=pcie.0,addr=11.0,netdev=net,romfile=
		-device virtio-serial-pci,bus=pcie.0,addr=12.0,id=serial
	)
	for i in 0 1 2 3; do
		qemu+=(-chardev "socket,id=sh$i,path=sh$i,server=on,wait=off"
			-device "virtserialport,bus=serial.0,chardev=sh$i,name=sh$i,nr=$((i + 1))")
	done
	[ ! -e join ] || qemu+=(-drive "file=disk,if=none,id=disk,format=raw,cache=unsafe" -device virtio-blk-pci,bus=pcie.0,addr=13.0,drive=disk)
}

# shellcheck disable=SC2054
# Real cards set the multifunction bit on every function: without it a rescan gives .1 a group of its own.
cards() {
	local vfs=${VFS:-4} card=${CARD:-bochs-display}
	qemu+=(
		-device VGA,bus=pcie.0,addr=1.0
		-device pcie-root-port,id=rp1,bus=pcie.0,addr=2.0,chassis=1,slot=1,multifunction=on
		-device "$card,bus=rp1,addr=0.0,multifunction=on" -device ich9-intel-hda,bus=rp1,addr=0.1,multifunction=on
		-device pcie-root-port,id=rp2,bus=pcie.0,addr=2.1,chassis=2,slot=2
		-device nvme-subsys,id=sub,nqn=sub
		-device "nvme,serial=a100,bus=rp2,subsys=sub,sriov_max_vfs=$vfs,sriov_vq_flexible=$((2 * vfs)),sriov_vi_flexible=$vfs,max_ioqpairs=$((2 * vfs + 2 < 64 ? 64 : 2 * vfs + 2)),msix_qsize=$((2 * vfs + 3 < 65 ? 65 : 2 * vfs + 3))"
		-device pcie-root-port,id=rp3,bus=pcie.0,addr=2.2,chassis=3,slot=3
		-device "$card,id=card,bus=rp3"
		-device pxb-pcie,id=pxb,bus=pcie.0,bus_nr=128,numa_node=1
		-device pcie-root-port,id=rp4,bus=pxb,chassis=4,slot=4 -device "$card,bus=rp4"
		-device pcie-root-port,id=rp5,bus=pxb,chassis=5,slot=5 -device x3130-upstream,id=switch,bus=rp5
		-device xio3130-downstream,id=leg1,bus=switch,addr=0.0,multifunction=on,chassis=6,slot=6 -device "$card,bus=leg1"
		-device xio3130-downstream,id=leg2,bus=switch,addr=0.1,chassis=7,slot=7 -device "$card,bus=leg2"
	)
}

start() {
	local guest nvfake="mask=${MASK:-$ids} ${NVFAKE:-}" more
	guest=$(readlink -f guest)
	machine
	cards
	read -ra more <<<"${QEMU_ARGS:-}"
	# no_timer_check: on a busy machine the kernel's look at its timer fails now and then, and with interrupt remapping it panics.
	qemu+=(-kernel "$guest/vmlinux" -initrd "$guest/initrd"
		-append "console=ttyS0 quiet panic=-1 no_timer_check mitigations=off highres=off nohz=off psi=0 nowatchdog intel_iommu=on host=$(cat node) nvfake=${nvfake// /+} ${KERNEL_ARGS:-}")
	# An emulated machine has times to keep that the others have not; where it may not be preferred it goes as they do. It says so
	# itself, from the session that it leads: from here it could still be the caller's.
	# shellcheck disable=SC2016
	detached bash -c '{ echo -5 >/proc/self/autogroup; } 2>/dev/null; exec "$@"' - "${qemu[@]}" ${more[@]+"${more[@]}"} >qemu.log 2>&1 </dev/null &
	echo $! >qemu.pid
	disown
}

# Until a command runs in the guest, or QEMU ends.
wait_ready() {
	local end=$((SECONDS + 180))
	until timeout $((end - SECONDS)) ./guest/gsh run . true 2>/dev/null; do
		alive "$(cat qemu.pid)" "$state" || die "QEMU has ended"
		[ $SECONDS -lt $((end - 1)) ] || die "the guest does not come up"
		sleep 0.1
	done
}

failed() {
	local status=$? log
	[ "$status" != 0 ] || return 0
	trap '' INT TERM ERR
	for log in qemu.log console.log; do
		if [ "$status" -ge 128 ] || [ ! -s "$log" ]; then continue; fi
		say "the end of $state/$log:"
		tail -n 12 "$log" | cut -c1-400 >&2
	done
	"$here/stop.sh" --keep "$state"
	rm -f "$state/disk"
	say "stopped; the logs stay in $state until the next run.sh or stop.sh of this folder"
	exit "$status"
}

# What the machine is made of, for the next time that it boots.
settings=(NVFAKE MASK CARD VFS KERNEL_ARGS QEMU_ARGS MEM CPU)
remember() {
	local v
	for v in "${settings[@]}"; do printf '%s=%q\n' "$v" "${!v:-}"; done >settings
}

power() {
	trap 'exit 130' INT
	trap 'exit 143' TERM
	trap failed EXIT
	start
	timed "guest is up" wait_ready
}

again() { # STATE
	local nvfake=${NVFAKE:-}
	[ -e "$1/settings" ] || die "$1 is not a guest's folder"
	state=$(cd "$1" && pwd -P)
	cd "$state"
	# shellcheck source=/dev/null
	. ./settings
	NVFAKE=${nvfake:-$NVFAKE}
	remember
	"$here/stop.sh" --off "$state"
	power
	[ ! -e kubelet ] || "$here/join.sh" again "$state"
}

main() {
	local dirs
	arguments 1 "$@"
	[ "$1" != --again ] || { again "$2" && return; }
	mkdir -p "$1"
	state=$(cd "$1" && pwd -P)
	[ ! -e "$state/.failed" ] || rm -rf "${state:?}"/* "$state/.failed" "$state/.vmgpu-guest"
	[ -z "$(ls -A "$state")" ] || die "$state is not empty (stop.sh $state?)"
	[ -z "${2:-}" ] || sed 's#\(https\{0,1\}://\)\(127\.0\.0\.1\|localhost\)\b#\110.0.2.2#' "$2" >"$state/kubeconfig"
	dirs=$("$here/setup.sh")
	mapfile -t dirs <<<"$dirs"
	cd "$state"
	touch .vmgpu-guest
	echo "${NODE:-gpu-node}" >node
	ln -s "${dirs[0]}" guest
	if [ -n "${dirs[1]:-}" ]; then
		ln -s "${dirs[1]}" join
		cp --sparse=always join/disk disk
	fi
	remember
	power
}

main "$@"
