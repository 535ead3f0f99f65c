# e2e/node/test-lib.sh: what the tests of vmgpu-node in a guest share; sourced, not run, behind ../lib.sh. The guest lies in $g and its
# node is called gpu-node; $work is a folder of the script's. A controller that start_controller has started is the script's to end. What stands
# behind "As a pod" is for those that have vmgpu-node as one, on a guest that is a node: $top, $V, the cluster $state and the namespace $ns are the script's.
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

# --- As a pod ------------------------------------------------------------------------------------------------------------------

soon() { within "${PATIENCE:-90}" "$@"; } # on a machine that has much else to do it may take longer

# a_node: a cluster with KubeVirt, and the guest as its node, with vmgpu-node. Variables as for run.sh
a_node() {
	bash e2e/cluster/up.sh "$state" || return 1
	# shellcheck source=/dev/null
	. "$state/env"
	KUBELET=1 bash e2e/node/run.sh "$g" && bash e2e/node/join.sh "$g" "$state" && image || return 1
	kubectl create namespace "$ns" >/dev/null
	kubectl apply --server-side -f e2e/data/instancetypes >/dev/null
	# What stands in for a machine in its launcher needs neither the machine's memory nor its CPUs.
	kubectl -n kubevirt patch kubevirt kubevirt --type=merge -p '{"spec": {"configuration": {"developerConfiguration": {"memoryOvercommit": 3200, "cpuAllocationRatio": 1000}}}}' >/dev/null
	deploy
}

# The image as it is shipped, of this build.
image() { V=$V bash manifests/images.sh "$work/images" >/dev/null && bash e2e/node/join.sh image "$g" "$work/images/vmgpu-node.tar"; }

# As it is shipped, but for what a cluster of one guest lacks: no kube-proxy leads a pod to the API server. The controller is started beside it.
# $chart_values, if the script has it, are arguments of Helm's.
deploy() {
	local helm
	helm=$(bash e2e/cluster/build.sh helm3)/helm || return 1
	HELM_CACHE_HOME=$work/helm "$helm" install vmgpu manifests/chart/vmgpu --namespace vmgpu-system --create-namespace --set controller.replicas=0 \
		${chart_values[@]+"${chart_values[@]}"} >"$work/helm.log" 2>&1 || { cat "$work/helm.log" >&2 && return 1; }
	kubectl -n vmgpu-system patch daemonset vmgpu-node --type=strategic -p "{\"spec\": {\"template\": {\"spec\": {\"hostNetwork\": true, \"containers\": [{\"name\": \"hands\",
		\"env\": [{\"name\": \"KUBERNETES_SERVICE_HOST\", \"value\": \"10.0.2.2\"}, {\"name\": \"KUBERNETES_SERVICE_PORT\", \"value\": \"$(cat "$state/port")\"}]}]}}}}" >/dev/null
}

hands() { kubectl -n vmgpu-system logs -l app.kubernetes.io/name=vmgpu-node -c hands --tail="${TAIL:-6}"; }
available() { [ "$(kubectl -n vmgpu-system get daemonset vmgpu-node -o 'jsonpath={.status.numberAvailable}')" = 1 ]; }

vm() { # NAME GPU...
	local gpu gpus=''
	for gpu in "${@:2}"; do gpus+="${gpus:+, }{name: nvidia.com/$gpu}"; done
	kubectl -n "$ns" create -f - >/dev/null <<Y
apiVersion: apps.cozystack.io/v1alpha1
kind: VMInstance
metadata: {name: $1}
spec: {instanceType: u1.medium, gpus: [$gpus]}
Y
}
delete_vm() { kubectl -n "$ns" delete vminstances.apps.cozystack.io "$1" --wait=false >/dev/null; }
launcher() { kubectl -n "$ns" get pod -l "vm.kubevirt.io/name=vm-instance-$1" --field-selector=status.phase=Running -o name; }
says() { kubectl -n "$ns" logs "$(launcher "$2" | grep . || echo pod/none)" -c compute | grep -E "$1"; } # EXPRESSION VM
