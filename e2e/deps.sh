#!/bin/bash
# deps.sh [--build] [--test]: installs, with apt, the Debian 12 packages that are missing: those that compile
# vmgpu (--build), those that its tests and the demo need (--test), both without an option. Silent and fast
# when nothing is missing. Needs root then. Go is expected on PATH and is not installed here.
#
# Debian's etcd and the guest's kernel are not in the lists: they are unpacked into the cache where they are
# used (cluster/lib.sh, node/setup.sh), since installing them would start a service or add a boot entry.
set -euo pipefail

build=(
	gcc libc6-dev make pkg-config
	libcurl4-openssl-dev libjansson-dev libyaml-dev libssl-dev libpci-dev libnghttp2-dev
	libprotobuf-c-dev protobuf-c-compiler
)
# clang-format-16: 14 lacks InsertBraces. libclang-rt: sanitizers and libFuzzer for clang. llvm: coverage and
# readable sanitizer traces. libelf1: the kernel's objtool, which nvfake.ko is built with. pciutils and pci.ids:
# lspci in the guest. e2fsprogs: mke2fs for its disk. libseccomp2: Debian's runc there.
test=(
	clang clang-format-16 libclang-rt-14-dev llvm-14 universal-ctags binutils
	bash ca-certificates curl git iproute2 openssl procps python3 util-linux
	qemu-system-x86 kmod cpio xz-utils libelf1 pciutils pci.ids e2fsprogs libseccomp2
)

usage() { sed -n '2,4s/^# //p' "$0"; }

# missing PACKAGE...: those that are not installed, one a line
missing() {
	dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^installed //p' |
		sort -u | comm -13 - <(printf '%s\n' "$@" | sort -u)
}

# Services must not start on their own: dpkg asks policy-rc.d, where there is one.
forbid_services() {
	[ ! -e /usr/sbin/policy-rc.d ] || return 0
	trap 'rm -f /usr/sbin/policy-rc.d' EXIT
	printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
	chmod +x /usr/sbin/policy-rc.d
}

# apt TEXT ARGUMENT...: runs apt-get quietly; shows the end of what it said if it fails
apt() {
	local text=$1 log start=$SECONDS
	shift
	log=$(mktemp)
	printf 'deps: %s\n' "$text"
	if ! DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1 </dev/null; then
		tail -20 "$log" >&2
		printf 'deps: apt-get %s failed; the whole of it is in %s\n' "$1" "$log" >&2
		return 1
	fi
	rm -f "$log"
	printf 'deps: done in %d s\n' $((SECONDS - start))
}

main() {
	local want=() todo arg
	for arg; do
		case $arg in
		--build) want+=("${build[@]}") ;;
		--test) want+=("${test[@]}") ;;
		-h | --help) usage; return 0 ;;
		*) usage >&2; return 2 ;;
		esac
	done
	[ ${#want[@]} -gt 0 ] || want=("${build[@]}" "${test[@]}")
	mapfile -t todo < <(missing "${want[@]}")
	[ ${#todo[@]} -gt 0 ] || return 0
	if [ "$(id -u)" != 0 ]; then
		printf 'deps: not root. As root: apt-get install --no-install-recommends %s\n' "${todo[*]}" >&2
		return 1
	fi
	forbid_services
	apt 'reading package lists (apt-get update)' update
	apt "installing ${todo[*]}" install -y --no-install-recommends "${todo[@]}"
}

main "$@"
