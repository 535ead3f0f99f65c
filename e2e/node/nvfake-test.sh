#!/bin/bash
# nvfake-test.sh: that the emulated cards behave as NVIDIA's driver makes real ones behave, as far as that is known (README.md). The rules
# alone, then both faces in sysfs in a guest: a card with 16 virtual functions, as L40S, A100 and A2, and a T4. Prints TAP. A minute or so.
set -uo pipefail
prog=node/nvfake-test.sh
here=$(cd "$(dirname "$0")" && pwd)

# --- on this machine --------------------------------------------------------------------------------------------------
outside() {
	# shellcheck source-path=SCRIPTDIR source=../lib.sh
	. "$here/../lib.sh"
	case ${1:-} in -h | --help) usage && exit 0 ;; esac
	work=$(mktemp -d)
	trap 'bash "$here/stop.sh" "$work/guest"; rm -rf "$work"' EXIT
	awk -f "$here/nvfake_types.awk" "$here/nvfake_types.tsv" >"$work/nvfake_types.h" || exit 1
	gcc -std=gnu17 -Wall -Wextra -g -fsanitize=address,undefined -I"$here" -I"$work" -o "$work/rm_test" "$here/nvfake_rm_test.c" || exit 1
	"$work/rm_test" >"$work/rm" && failed=0 || failed=1
	grep -v '^1\.\.' "$work/rm"
	n=$(grep -c '^\(not \)\?ok' "$work/rm")
	if ! command -v qemu-system-x86_64 >/dev/null; then
		echo "ok $((n + 1)) - nvfake in a real kernel # SKIP no QEMU (e2e/deps.sh --test)"
		echo "1..$((n + 1))"
		exit "$failed"
	fi
	VFS=16 MASK=$l40s,$t4 NVFAKE='vgpu=vfio' bash "$here/run.sh" "$work/guest" || exit 1
	bash "$here/guest.sh" "$work/guest" bash "$here/nvfake-test.sh" inside "$n" || failed=1
	exit "$failed"
}

# --- in the guest -----------------------------------------------------------------------------------------------------
t4=0000:81:00.0=10de:1eb8:030200
l40s=0000:02:00.0=10de:26b9:030200
a100=0000:02:00.0=10de:20b5:030200
a2=0000:02:00.0=10de:25b6:030200
pci=/sys/bus/pci
card=$pci/devices/0000:02:00.0
gpu=/proc/driver/nvidia/gpus/0000:02:00.0
manage=/usr/lib/nvidia/sriov-manage
header='ID    : vGPU Name'
said=

it() {
	local text=$1
	shift
	n=$((n + 1))
	if said=$("$@" 2>&1); then
		echo "ok $n - $text"
	else
		failed=1
		[ -z "$said" ] || sed 's/^/# /' <<<"$said"
		echo "not ok $n - $text"
	fi
}

# is VALUE FILE; says VALUE COMMAND...
is() { [ "$(<"$2")" = "$1" ] || { echo "$2: $(<"$2")" && return 1; }; }
says() {
	local want=$1 got
	shift
	got=$("$@" 2>&1)
	[ "$got" = "$want" ] || { printf '%s\n' "$got" && return 1; }
}
put() { echo "$1" >"$2"; }
# refused ERROR VALUE FILE; unreadable ERROR FILE
refused() {
	local got
	got=$({ echo "$2" >"$3"; } 2>&1) && echo "taken" && return 1
	[[ $got == *": $1" ]] || { echo "$got" && return 1; }
}
unreadable() {
	local got
	got=$(cat "$2" 2>&1) && echo "readable: $got" && return 1
	[[ $got == *": $1" ]] || { echo "$got" && return 1; }
}
nv() { echo "$card/virtfn$1/nvidia"; }
address() { basename "$(readlink "$card/virtfn$1")"; }
driver() { basename "$(readlink "$pci/devices/$1/driver")"; }
group() { basename "$(readlink "$1/iommu_group")"; }
list() { cat "$(nv "$1")/creatable_vgpu_types"; }
ids() { list "$1" | sed 1d | cut -d' ' -f1 | tr '\n' ' '; }
type() { put "$2" "$(nv "$1")/current_vgpu_type"; } # VF TYPE
kernel_said() { dmesg | tail -n 3 | grep -q "$1"; }
control() { put "$1" "$gpu/control"; }
control_says() { grep -qx "$1" "$gpu/control"; }
load() { rmmod nvfake && modprobe nvfake "$@"; }
functions() { set -- "$card"/virtfn*; [ -e "$1" ] && echo $#; }

# hold GROUP DEVICE: sets held to what it says; let_go. Not in the subshell of "it", with which it would end.
hold() {
	coproc holder { exec python3 "$here/nvfake-hold.py" "$1" "$2" 2>&1; }
	read -r held <&"${holder[0]}"
}
let_go() {
	local pid=$holder_PID
	exec {holder[1]}>&-
	wait "$pid" 2>/dev/null
	true
}

# Of an L40S, as Harvester saw it (pcidevices bdd8025, testdata; Apache-2.0).
l40s_list() {
	local i=1145 name
	echo "$header"
	for name in 1B 2B {1,2,3,4,6,8,12,16,24,48}{Q,A}; do echo "$name"; done | sed 's/\([0-9]*\)\([AQ]\)$/\2 \1/' |
		awk '$2 == "" {print; next} {l[$1] = l[$1] $2 $1 "\n"} END {printf "%s%s", l["Q"], l["A"]}' |
		while read -r name; do
			echo "$i  : NVIDIA L40S-$name"
			i=$((i + 1))
		done
	echo "2164  : NVIDIA L40S-3B"
}

plain() {
	it "sriov_numvfs is not for writing: no such file or directory" refused "No such file or directory" 4 "$card/sriov_numvfs"
	it "more than there can be: out of range" refused "Numerical result out of range" 17 "$card/sriov_numvfs"
	it "nothing came of it" is 0 "$card/sriov_numvfs"
	it "sriov-manage that fails says so, and does nothing" says "Cannot obtain unbindLock for 02:00.0 1 0" \
		eval "SRIOV_MANAGE=fail $manage -e 02:00.0 2>&1 | tr '\n' ' '; echo \${PIPESTATUS[0]} \$(cat $card/sriov_numvfs)"
	it "sriov-manage that lies says that it did it" says "Enabling VFs on 0000:02:00.0 0 0" \
		eval "SRIOV_MANAGE=lie $manage -e 02:00.0 | tr '\n' ' '; echo \${PIPESTATUS[0]} \$(cat $card/sriov_numvfs)"
	it "so does one that stumbled over the last step" says "Enabling VFs on 0000:02:00.0 0 0 nvidia" \
		eval "SRIOV_MANAGE=lie-late $manage -e 02:00.0 | tr '\n' ' '; echo \${PIPESTATUS[0]} \$(cat $card/sriov_numvfs) \$(driver 0000:02:00.0)"
	put slow=2 /run/sriov-manage
	local from=$SECONDS
	it "sriov-manage makes all virtual functions" says "Enabling VFs on 0000:02:00.0" $manage -e 02:00.0
	it "in its time, where it is told to be slow" [ $((SECONDS - from)) -ge 2 ]
	rm /run/sriov-manage
	it "all sixteen" says "16 16" eval "echo \$(cat $card/sriov_numvfs) \$(functions)"
	it "a second time it has nothing to do" says "GPU at 0000:02:00.0 already has VFs enabled." $manage -e ALL
	it "the card and its functions are the driver's" says "17" eval "ls -d $pci/drivers/nvidia/0000:02:* | wc -l"
}

functions_are_real() {
	local v
	v=$(address 5)
	it "a function has its card's id, and subsystem 10de:0000" says "0x10de 0x26b9 0x10de 0x0000 0x030200" \
		eval "cd $pci/devices/$v && echo \$(cat vendor device subsystem_vendor subsystem_device class)"
	it "in its own config space it has none" says "ff ff ff ff" eval "od -An -tx1 -N4 $pci/devices/$v/config | sed 's/^ //'"
	it "each has an IOMMU group to itself" says 16 eval "for v in $card/virtfn*; do ls \$v/iommu_group/devices; done | sort -u | wc -l"
	it "each is a vfio device, with or without a type" says 16 eval "ls -d $card/virtfn*/vfio-dev/vfio* | wc -l"
	it "one without a type cannot be opened: no such device" says "No such device" python3 "$here/nvfake-hold.py" "$(group "$pci/devices/$v")" "$v"
	it "the card has no folder nvidia" [ ! -e $card/nvidia ]
	it "a function's has six files, with these modes" says "444 creatable_vgpu_types 644 current_vgpu_type 644 gpu_instance_id 644 placement_id 644 vgpu_params 644 warm_update" \
		eval "cd $(nv 5) && echo \$(stat -c '%a %n' *)"
	echo vfio-pci >"$pci/devices/$v/driver_override"
	echo "$v" >"$pci/devices/$v/driver/unbind"
	it "vfio-pci does not take one: invalid argument" refused "Invalid argument" "$v" $pci/drivers/vfio-pci/bind
	echo >"$pci/devices/$v/driver_override"
	put "$v" $pci/drivers/nvidia/bind
	it "the driver takes it back" [ -e "$(nv 5)/current_vgpu_type" ]
}

untyped() {
	local f
	it "an empty card's list is that of a real one, to the letter" says "$(l40s_list)" list 15
	it "no type: 0" is 0 "$(nv 0)/current_vgpu_type"
	for f in gpu_instance_id placement_id vgpu_params warm_update; do
		it "no type: $f gives ENXIO" unreadable "No such device or address" "$(nv 0)/$f"
	done
	it "and takes nothing" refused "No such device or address" 0 "$(nv 0)/placement_id"
	it "0 where there is no type: not permitted" refused "Operation not permitted" 0 "$(nv 0)/current_vgpu_type"
	it "a number of hex digits: invalid" refused "Invalid argument" 0x47e "$(nv 0)/current_vgpu_type"
	it "words: invalid" refused "Invalid argument" "NVIDIA L40S-4Q" "$(nv 0)/current_vgpu_type"
	it "a type of another card: input/output error" refused "Input/output error" 699 "$(nv 0)/current_vgpu_type"
	it "and the kernel says 0x57" kernel_said "NVRM: Failed to add vgpu create request: 0x57"
}

equal() {
	it "the first type can be any" type 0 1150
	it "it can be read back" is 1150 "$(nv 0)/current_vgpu_type"
	it "its function lists no more: the header alone" says "$header" list 0
	it "the others list the types of that size" says "1150 1160 " ids 1
	it "a second type for a function: input/output error" refused "Input/output error" 1150 "$(nv 0)/current_vgpu_type"
	it "and the kernel says 0x38" kernel_said "NVRM: Failed to add vgpu create request: 0x38"
	it "another size: input/output error" refused "Input/output error" 1151 "$(nv 1)/current_vgpu_type"
	it "and the kernel says 0x56" kernel_said "NVRM: Failed to add vgpu create request: 0x56"
	it "another series of that size" type 1 1160
	it "places are given from the first on, in its size" says "0 4" eval "echo \$(cat $(nv 0)/placement_id $(nv 1)/placement_id)"
	it "a place can be changed to a free one" put 44 "$(nv 0)/placement_id"
	it "and is then" is 44 "$(nv 0)/placement_id"
	it "not to one that is taken: input/output error" refused "Input/output error" 4 "$(nv 0)/placement_id"
	it "the files of a vGPU: no parameters, no update" says "| 0" eval "echo \"\$(cat $(nv 0)/vgpu_params)| \$(cat $(nv 0)/warm_update)\""
	it "parameters are kept" eval "put enable_uvm=1 $(nv 0)/vgpu_params && is enable_uvm=1 $(nv 0)/vgpu_params"
	local i
	for i in {2..11}; do type "$i" 1150; done
	it "twelve of 4 GB fill the card: the others list the header alone" says "$header" list 12
	it "a thirteenth: input/output error" refused "Input/output error" 1150 "$(nv 12)/current_vgpu_type"
	it "and the kernel says 0x1a" kernel_said "NVRM: Failed to add vgpu create request: 0x1a"
	type 7 0
	it "one goes: there is room for it on each free function" says "1150 1160 " ids 15
	for i in {0..6} {8..11}; do type "$i" 0; done
	it "the last goes: the choice is free again" says 23 eval "ids 3 | wc -w"
}

in_use() {
	local v
	v=$(address 2)
	type 2 1156
	hold "$(group "$pci/devices/$v")" "$v"
	it "a virtual machine opens a function that has a type" [ "$held" = open ]
	it "its type cannot be taken away: not permitted" refused "Operation not permitted" 0 "$(nv 2)/current_vgpu_type"
	it "nor its place changed" refused "Operation not permitted" 1 "$(nv 2)/placement_id"
	it "nor its parameters" refused "Operation not permitted" a=1 "$(nv 2)/vgpu_params"
	it "sriov-manage does not get the lock, and says so" says "Disabling VFs on 0000:02:00.0 Cannot obtain unbindLock for 0000:02:00.0 1" \
		eval "$manage -d 0000:02:00.0 2>&1 | tr '\n' ' '; echo \${PIPESTATUS[0]}"
	it "the functions and the type stay" says "16 1156" eval "echo \$(functions) \$(cat $(nv 2)/current_vgpu_type)"
	let_go
	it "once it is closed the type can be taken away" type 2 0
	type 2 1156
	it "sriov-manage removes functions that have types nobody uses" says "Disabling VFs on 0000:02:00.0" $manage -d 0000:02:00.0
	it "there are none then, and no virtfn links" says "0 nvidia" eval "echo \$(cat $card/sriov_numvfs) \$(functions) \$(driver 0000:02:00.0)"
}

mixed() {
	put 600000 /sys/module/nvfake/parameters/ready_ms
	$manage -e 02:00.0 >/dev/null
	it "not ready after a start: the lists are empty" says "$header" list 0
	it "and a write gives an input/output error" refused "Input/output error" 1155 "$(nv 0)/current_vgpu_type"
	it "of which the kernel says 0x66, try again" kernel_said "NVRM: Failed to add vgpu create request: 0x66"
	control ready
	it "once it is ready it works" type 0 1155
	put 0 /sys/module/nvfake/parameters/ready_ms
	it "mixed sizes cannot be asked for once there is a vGPU: busy" refused "Device or resource busy" "shm 1" $gpu/control
	type 0 0
	it "before, they can" control "shm 1"
	it "a 24Q and an 8Q" eval "type 0 1155 && type 1 1152"
	it "have their places" says "0 24" eval "echo \$(cat $(nv 0)/placement_id $(nv 1)/placement_id)"
	it "what still fits is listed: up to 16 GB" says "1145 1146 1147 1148 1149 1150 1151 1152 1153 1154 1157 1158 1159 1160 1161 1162 1163 1164 2164 " ids 2
	it "12Q takes a place at the end" eval "type 2 1153 && is 36 $(nv 2)/placement_id"
	it "and 4Q the hole between: the card is full" eval "type 3 1150 && is 32 $(nv 3)/placement_id && says '$header' list 4"
	local i
	for i in 0 1 2 3; do type $i 0; done
	it "two 1Q" eval "type 0 1147 && type 1 1147"
	it "a list ends where as many are created as the type allows: no 24Q" [ "$(ids 2 | grep -c 1155)" = 0 ]
	it "a write does not: the 24Q that is not listed is made" type 2 1155
	it "0 and 5 are the first places of a 1Q" says "0 5 24" eval "echo \$(cat $(nv 0)/placement_id $(nv 1)/placement_id $(nv 2)/placement_id)"
	$manage -d 02:00.0 >/dev/null
	it "mixed sizes end when the card is bound anew" control_says "mixed 0"
}

mig() {
	load mask=$a100,$t4 vgpu=none ready_ms=0 card=0000:02:00.0=vfio || return 1
	it "MIG off: no GPU instance can be made" refused "Invalid argument" "cgi 1-10C" $gpu/control
	control "mig 1"
	$manage -e 02:00.0 >/dev/null
	it "MIG mode stays when the card is bound anew" control_says "mig 1"
	it "MIG on and no instance: the list is empty" says "$header" list 0
	it "and a write gives an input/output error" refused "Input/output error" 699 "$(nv 0)/current_vgpu_type"
	it "of which the kernel says 0x38" kernel_said "NVRM: Failed to add vgpu create request: 0x38"
	it "MIG cannot be switched off while there are virtual functions: busy" refused "Device or resource busy" "mig 0" $gpu/control
	it "instances 3g and two 1g" eval 'control "cgi 3-40C" && control "cgi 1-10C" && control "cgi 1-10C"'
	it "their types alone are listed" says "699 701 " ids 0
	it "a time slice is refused" refused "Input/output error" 694 "$(nv 0)/current_vgpu_type"
	it "one vGPU takes the one 3g" type 0 701
	it "which is the first half" is 1 "$(nv 0)/gpu_instance_id"
	it "another finds none" refused "Input/output error" 701 "$(nv 1)/current_vgpu_type"
	it "and the lists know" says "699 " ids 1
	type 1 699
	it "1g is the fifth eighth" is 11 "$(nv 1)/gpu_instance_id"
	it "it can go to the other 1g" eval "put 12 $(nv 1)/gpu_instance_id && is 12 $(nv 1)/gpu_instance_id"
	it "not to the 3g: input/output error" refused "Input/output error" 1 "$(nv 1)/gpu_instance_id"
	type 2 699
	it "all instances have theirs: the lists are empty" says "$header" list 3
	it "instances in use stay: busy" refused "Device or resource busy" dgi $gpu/control
	$manage -d 02:00.0 >/dev/null
	it "instances end when the card is bound anew" says 0 grep -c ^instance $gpu/control
}

mdev() {
	local uuid=c1b4a2de-0000-4000-8000-00000000000 bus=/sys/class/mdev_bus devices=/sys/bus/mdev/devices types t v a p=0000:81:00.0
	load mask=$a2,$t4 vgpu=mdev ready_ms=0 card=0000:02:00.0=mdev:only=A2- || return 1
	it "the parent is the card that has no virtual functions, and not the one that has" says "$p" ls $bus
	$manage -e 02:00.0 >/dev/null
	it "and each virtual function" says 17 eval "ls $bus | wc -l"
	a=$(address 3)
	types=$bus/$a/mdev_supported_types
	t=$types/nvidia-746
	it "an A2 has fifteen types, named by the driver and their number" says "15 nvidia-742" eval "echo \$(ls $types | wc -l) \$(ls $types | head -1)"
	it "a type's files" says "200 create 444 available_instances 444 description 444 device_api 444 name" eval "cd $t && stat -c '%a %n' available_instances create description device_api name | sort | tr '\n' ' ' | sed 's/ $//'"
	it "its name" is "NVIDIA A2-4Q" $t/name
	it "its description is that of a real one, to the letter" is "num_heads=4, frl_config=60, framebuffer=4096M, max_resolution=7680x4320, max_instance=4" $t/description
	it "another's" is "num_heads=1, frl_config=60, framebuffer=8192M, max_resolution=4096x2400, max_instance=2" $types/nvidia-755/description
	it "its interface" is vfio-pci $t/device_api
	it "an empty function offers one of each" says "1 1 1" eval "echo \$(cat $t/available_instances $types/nvidia-742/available_instances $types/nvidia-748/available_instances)"
	it "no UUID: invalid" refused "Invalid argument" 12345 $t/create
	it "a vGPU is made" put ${uuid}1 $t/create
	it "its UUID a second time: exists" refused "File exists" ${uuid}1 $bus/$(address 4)/mdev_supported_types/nvidia-746/create
	it "its function offers none" says "0 0" eval "echo \$(cat $t/available_instances $types/nvidia-742/available_instances)"
	it "and takes no second: input/output error" refused "Input/output error" ${uuid}2 $t/create
	it "of which the kernel says 0x38" kernel_said "request: 0x38"
	v=$bus/$(address 4)/mdev_supported_types
	it "other functions offer that size alone, whatever the series" says "1 1 1 0 0" eval "echo \$(cat $v/nvidia-746/available_instances $v/nvidia-751/available_instances $v/nvidia-754/available_instances $v/nvidia-742/available_instances $v/nvidia-748/available_instances)"
	it "another size: input/output error" refused "Input/output error" ${uuid}2 $v/nvidia-742/create
	it "the type of a vGPU" says nvidia-746 eval "basename \$(readlink $devices/${uuid}1/mdev_type)"
	it "its files: no parameters, no virtual machine" says "" eval "echo \$(cat $devices/${uuid}1/nvidia/vgpu_params $devices/${uuid}1/nvidia/vm_name)"
	hold "$(group $devices/${uuid}1)" ${uuid}1
	it "a virtual machine opens it" [ "$held" = open ]
	it "sriov-manage does not get the lock" says 1 eval "$manage -d 02:00.0 >/dev/null 2>&1; echo \$?"
	(put 1 $devices/${uuid}1/remove 2>/tmp/removed && echo removed >/tmp/removed) &
	sleep 1
	it "its removal waits while it is open" [ ! -s /tmp/removed ]
	let_go
	wait %?put 2>/dev/null || wait
	it "and is done once it is closed" eval "is removed /tmp/removed && [ ! -e $devices/${uuid}1 ]"
	it "the choice is free again" says "1 1" eval "echo \$(cat $v/nvidia-742/available_instances $t/available_instances)"
	put ${uuid}3 $t/create
	$manage -d 02:00.0 >/dev/null
	it "vGPUs that nobody uses go with their functions" says "" ls $devices
	types=$bus/$p/mdev_supported_types
	it "a T4 offers on the card itself as many as fill it" says "16 4 1" eval "echo \$(cat $types/nvidia-{230,232,234}/available_instances)"
	put ${uuid}4 $types/nvidia-232/create
	put ${uuid}5 $types/nvidia-319/create
	it "after two of 4 GB two more, and no other size" says "2 2 0 0" eval "echo \$(cat $types/nvidia-{232,319,230,234}/available_instances)"
	put ${uuid}6 $types/nvidia-232/create
	put ${uuid}7 $types/nvidia-232/create
	it "four fill it" refused "Input/output error" ${uuid}8 $types/nvidia-232/create
	it "of which the kernel says 0x1a" kernel_said "request: 0x1a"
	local i
	for i in 4 5 6 7; do put 1 $devices/${uuid}$i/remove; done
	$manage -e 02:00.0 >/dev/null
	put 1 $card/remove
	it "a card that goes takes its functions along" says "$p" ls $bus
	put 1 $pci/rescan
	it "and comes back without any" says "0 nvidia" eval "echo \$(cat $card/sriov_numvfs) \$(driver 0000:02:00.0)"
	it "a T4 whose vGPUs are gone is empty again" says "16 4 1" eval "echo \$(cat $types/nvidia-{230,232,234}/available_instances)"
}

clean_kernel() { ! dmesg | grep -E 'WARNING|BUG|Oops|Call Trace'; }

if [ "${1:-}" != inside ]; then outside "$@"; fi
n=$2 failed=0
plain
functions_are_real
untyped
equal
in_use
mixed
mig || it "nvfake as an A100" false
mdev || it "nvfake as an A2" false
it "nvfake can be removed" rmmod nvfake
it "the kernel has nothing to complain of" clean_kernel
echo "1..$n"
exit $failed
