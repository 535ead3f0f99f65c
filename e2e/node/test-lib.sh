# e2e/node/test-lib.sh: what the tests of vmgpu-node in a guest share; sourced, not run, behind ../lib.sh. The guest lies in $g and its
# node is called gpu-node; $work is a folder of the script's. A controller that start_controller has started is the script's to end.
# shellcheck shell=bash disable=SC2034,SC2154
controller=''

guest() { bash e2e/node/guest.sh "$g" sh -c "$*"; }
get() { kubectl get gpunode gpu-node -o "jsonpath=$1" 2>/dev/null; }
# unit_says ADDRESS TYPE EXPRESSION: that condition of a unit
unit_says() { get "{.status.units[?(@.id==\"$1\")].conditions[?(@.type==\"$2\")].message}" | grep -q "$3"; }
obeying() { get '{.status.conditions[?(@.type=="Obeying")].status} {.status.conditions[?(@.type=="Obeying")].reason} {.status.conditions[?(@.type=="Obeying")].message}' | grep -qE "^$1"; }
driver() { [ "$(guest "basename \$(readlink /sys/bus/pci/devices/$1/driver) 2>/dev/null || echo -")" = "$2" ]; } # ADDRESS DRIVER: "-" is none
let_go() { guest 'kill $(cat /tmp/holder)'; } # of what the script's hold has started

start_controller() { # ARGUMENT...
	build/dev/vmgpu-controller --kubeconfig "$KUBECONFIG" --metrics-bind-address=0 --health-probe-bind-address=0 "$@" >>"$work/controller.log" 2>&1 &
	controller=$!
}
stop_controller() {
	kill -TERM "$controller" && wait "$controller"
	controller=''
}
