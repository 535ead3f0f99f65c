#!/bin/bash
# chart.sh: the Helm chart and its images: values, rights and policies, installed on a control plane, upgraded and taken away, with Helm 3 and Helm 4. No kubelet
# runs there: the controller is started by hand with the token of the chart's service account. Prints TAP.
#
# Variables:
#   ONLY=TEXT     only those of check_values, check_images and check_cluster whose name has it; with STATE, of rights and policies
#   STATE=FOLDER  a cluster with the chart on it, where only rights and policies are tried
set -uo pipefail
prog=chart.sh
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$top/e2e/lib.sh"
# shellcheck source-path=SCRIPTDIR source=chart-rights.sh
. "$top/e2e/chart-rights.sh"
case ${1:-} in -h | --help) usage && exit 0 ;; esac
cd "$top" || exit 1
chart=manifests/chart/vmgpu ns=vmgpu-system n=0 failed=0
helm3=$(bash e2e/cluster/build.sh helm3)/helm && helm4=$(bash e2e/cluster/build.sh helm4)/helm || exit 1
work=$(mktemp -d)
state=${STATE:-$work/cluster}
# What Helm remembers is to lie there, and not in the home folder.
export HELM_CONFIG_HOME=$work/config HELM_CACHE_HOME=$work/cache HELM_DATA_HOME=$work/data

clean() {
	[ "${STATE:-}" ] || [ ! -d "$state" ] || bash e2e/cluster/down.sh "$state"
	rm -rf "$work"
}
trap clean EXIT

# --- values ----------------------------------------------------------------------------------------------------------------------

rows() { grep -v '^#' e2e/chart-values.tsv; }
values() { awk -f manifests/values.awk "$chart/values.yaml" | cut -d'`' -f2; }
template() { "$helm" template vmgpu "$chart" --namespace $ns "$@" 2>"$work/said" || { cat "$work/said" && return 1; }; }

# does VALUE JSON TEXT
does() {
	local text=${3#!}
	template --set-json "$1=$2" >"$work/set" || { cat "$work/set" && return 1; }
	case $3 in
	'') ;; # with another one only, which has it
	!*) ! grep -qF -- "$text" "$work/set" && grep -qF -- "$text" "$work/default" ;;
	*) grep -qF -- "$text" "$work/set" && ! grep -qF -- "$text" "$work/default" ;;
	esac
}
each_does() {
	local value json text rc=0
	while IFS=$'\t' read -r value json text; do
		does "$value" "$json" "$text" || { echo "$value=$json: want $text" && rc=1; }
	done < <(rows)
	return $rc
}
# together: those that do something only where another one is set
together() {
	local text
	template --set-json 'node.driver={"image": "d:1", "command": ["answer"], "args": ["x"]}' --set serviceMonitor.enabled=true,serviceMonitor.interval=15s \
		--set prometheusRule.enabled=true,dashboard.enabled=true --set serviceMonitor.labels.a=b,prometheusRule.labels.a=c,dashboard.labels.a=d >"$work/set" || return 1
	for text in 'command: ["answer"]' 'args: ["x"]' 'interval: 15s' 'a: b' 'a: c' 'a: d' --tool-socket=/run/vmgpu/tool.sock; do
		grep -qF -- "$text" "$work/set" || { echo "lacks $text" && return 1; }
	done
}
refused() { # VALUE JSON: with its name
	local last=${1##*.}
	! template --set-json "$1=$2" >"$work/set" && grep -qF -- "$last" "$work/set"
}
misspelt_refused() {
	local value rc=0
	for value in $(values); do
		refused "${value}x" 1 || { echo "${value}x is not refused by name" && rc=1; }
	done
	return $rc
}
wrong_refused() {
	local row rc=0
	for row in controller.replicas='"two"' controller.naming='"suffix"' controller.image.digest='"sha256:12"' node.metrics='"yes"' node.kubeletRoot='"var"' \
		node.modules='["a b"]' image.pullPolicy='"Sometimes"' networkPolicy.apiServerPorts='[70000]' serviceMonitor.interval='"often"' kubevirt.names='[]'; do
		refused "${row%%=*}" "${row#*=}" || { echo "$row is not refused" && rc=1; }
	done
	return $rc
}
# measured: each metric that rules and dashboard ask for is one that a program of ours has
measured() {
	local name rc=0
	for name in $(grep -ohE '\b(leader_election|controller_runtime|workqueue|rest_client|vmgpu|process|DCGM_FI)_[A-Za-z_]+' "$chart"/files/{rules.yaml,dashboard.json} | sort -u); do
		grep -rqF "\"${name%_bucket}\"" lib/kube node-daemon || { echo "nobody has $name" && rc=1; }
	done
	return $rc
}
version_of_program() { grep -q "VMGPU_VERSION \"$(awk '$1 == "appVersion:" { print $2 }' $chart/Chart.yaml)\"" lib/kube/program.h; }
lints() { "$helm" lint --strict "$chart" 2>&1; }

values_of() { # HELM NAME
	helm=$1
	it "$2: helm lint has nothing to say" lints
	it "$2: it renders without a value" eval 'template >"$work/default" && [ -s "$work/default" ]'
	it "$2: each value does what it says" each_does
	it "$2: and so do those that need another one" together
	it "$2: a misspelt value is refused by its name, each of $(values | wc -l)" misspelt_refused
	it "$2: so is one that cannot be" wrong_refused
}
check_values() {
	it "every value has a test here" eval 'diff <(values) <(rows | cut -f1)'
	it "its version is the programs'" version_of_program
	it "alerts and dashboard ask for metrics that there are" measured
	values_of "$helm3" "Helm 3"
	values_of "$helm4" "Helm 4"
}

# --- images ----------------------------------------------------------------------------------------------------------------------

small() { awk '$3 > 12000000 { print; bad = 1 } END { exit bad }' "$work/images.1"; }
# unpack NAME: its one layer to the folder $work/NAME
unpack() {
	local oci=$work/$1.oci layer
	mkdir -p "$oci" "$work/$1" && tar -xf "$work/images/$1.tar" -C "$oci" || return 1
	layer=$(python3 -c '
import json, sys
at = lambda digest: json.load(open(sys.argv[1] + "/blobs/sha256/" + digest.removeprefix("sha256:")))
(image,) = json.load(open(sys.argv[1] + "/index.json"))["manifests"]
(layer,) = at(image["digest"])["layers"]
print(layer["digest"].removeprefix("sha256:"))' "$oci") && tar -xzf "$oci/blobs/sha256/$layer" -C "$work/$1"
}
run_in() { chroot "$work/$1" "${@:2}"; } # NAME PROGRAM ARGUMENT...
# They find all that they are linked with there.
programs_run() {
	unpack vmgpu-controller && unpack vmgpu-node && run_in vmgpu-controller /usr/bin/vmgpu-controller --version && run_in vmgpu-controller /usr/bin/kubectl-vmgpu version &&
		run_in vmgpu-node /usr/bin/vmgpu-node --version && run_in vmgpu-node /usr/sbin/modprobe --version
}
bare() { ! find "$work"/vmgpu-{controller,node} \( -perm /6000 -o -name '*sh' -o -name busybox \) | grep .; }
# listed: the package of each file that is not ours stands in the SBOM, and its licence beside it
listed() {
	python3 - "$work" <<'P'
import json, os, subprocess, sys
for name in "vmgpu-controller", "vmgpu-node":
    root = sys.argv[1] + "/" + name
    sbom = json.load(open(f"{sys.argv[1]}/images/{name}.spdx.json"))
    packages = {p["name"] for p in sbom["packages"]} - {"vmgpu"}
    assert all(os.path.getsize(f"{root}/usr/share/doc/{p}/copyright") for p in packages | {"vmgpu"})
    for lib in os.listdir(root + "/usr/lib/x86_64-linux-gnu"):
        owners = subprocess.run(["dpkg", "-S", "*/" + os.path.basename(os.path.realpath("/usr/lib/x86_64-linux-gnu/" + lib))], capture_output=True, text=True).stdout
        assert packages & {line.split(":")[0] for line in owners.splitlines()}, lib
    print(name, len(packages))
P
}
check_images() {
	V=${V:-dev} bash manifests/images.sh "$work/images" >"$work/images.1"
	it "the images: two archives" eval '[ "$(wc -l <"$work/images.1")" = 2 ]'
	it "none is larger than 12 MB, compressed" small
	it "their programs run with what is in them" programs_run
	it "there is no shell, and nothing that gives rights" bare
	it "the package of each library is listed, and its licence is there" listed
	it "made once more they have the same digests" eval 'V=${V:-dev} bash manifests/images.sh "$work/again" >"$work/images.2" && diff "$work/images.1" "$work/images.2"'
}

# --- on a cluster ----------------------------------------------------------------------------------------------------------------

# What each set of values makes, as the API server sees it: every object that differs, once. CRDs apart, which are the same in all; what the
# Prometheus Operator serves is not there.
each_dry() {
	local value json text
	while IFS=$'\t' read -r value json text; do
		echo ---
		template --skip-tests --set crds.vmgpu=false,crds.apps=false,crds.devices=false --set-json "$value=$json" || return 1
	done < <(rows) | awk 'BEGIN { RS = "---\n"; ORS = RS } !/kind: (ServiceMonitor|PrometheusRule)/ && !seen[$0]++' >"$work/dry"
	[ "$(grep -c '^kind:' "$work/dry")" -gt 60 ] && kubectl apply --server-side --force-conflicts --dry-run=server -f "$work/dry" >/dev/null
}

install() { "$helm" install vmgpu "$chart" --namespace $ns --create-namespace 2>&1; }
crds_stand() { [ "$(kubectl get crd -o name | grep -cE '(vmgpu.io|apps.cozystack.io|devices.harvesterhci.io)$')" = 10 ] && kubectl wait --for=condition=Established crd --all --timeout=30s; }

# changed_crd: a chart whose GPUPool has a field more
changed_crd() {
	cp -rL "$chart" "$work/changed"
	sed -i 's/^\( *\)use:$/\1added: {type: string}\n&/' "$work/changed/files/crds/vmgpu.io_gpupools.yaml"
}
has_field() { kubectl get crd gpupools.vmgpu.io -o 'jsonpath={.spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.added.type}' | grep -q string; }
upgrades() { "$helm" upgrade vmgpu "$work/changed" --namespace $ns 2>&1 && within 10 has_field; }
pool_uid() { kubectl get gpupool keep -o 'jsonpath={.metadata.uid}'; }
pool_stays() { [ -n "$uid" ] && [ "$(pool_uid)" = "$uid" ]; }
uninstall() { "$helm" uninstall vmgpu --namespace $ns --wait 2>&1; }
# left: what a release had, all kinds that can be listed
left() { kubectl get "$(kubectl api-resources --verbs=list -o name | paste -sd,)" -A -l app.kubernetes.io/part-of=vmgpu --ignore-not-found -o name 2>/dev/null; }
nothing_left() { [ -z "$(left | tee /dev/stderr)" ]; }

goes_and_comes() { # HELM NAME
	local uid
	helm=$1
	[ -d "$work/changed" ] || changed_crd
	kubectl apply -f manifests/examples/gpupool.yaml >/dev/null
	uid=$(pool_uid)
	it "$2: an upgrade changes a CRD" upgrades
	it "$2: its objects stay" pool_stays
	it "$2: uninstalled, it leaves the CRDs" eval 'uninstall && crds_stand'
	it "$2: and their objects" pool_stays
	it "$2: and nothing else" within 60 nothing_left
}

# theirs: a CRD that Harvester's agent has brought, and an API of Cozystack's
theirs() {
	kubectl annotate crd pcidevices.devices.harvesterhci.io meta.helm.sh/release-name=harvester --overwrite >/dev/null
	kubectl delete crd {virtualmachines,vminstances,vmdisks,kuberneteses}.apps.cozystack.io >/dev/null
	within 10 eval '! kubectl get apiservice v1alpha1.apps.cozystack.io >/dev/null 2>&1'
	kubectl create -f - >/dev/null <<'Y'
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1alpha1.apps.cozystack.io}
spec: {group: apps.cozystack.io, version: v1alpha1, groupPriorityMinimum: 1000, versionPriority: 15, insecureSkipTLSVerify: true, service: {name: api, namespace: cozy-system}}
Y
}
leaves_theirs() {
	"$helm" install vmgpu "$chart" --namespace $ns --dry-run=server >"$work/set" 2>&1 || { tail -5 "$work/set" && return 1; }
	! grep -q 'name: vminstances.apps.cozystack.io' "$work/set" && ! grep -q 'name: pcidevices.devices.harvesterhci.io' "$work/set" &&
		grep -q 'name: gpunodes.vmgpu.io' "$work/set" && grep -q '^  pcidevices.devices.harvesterhci.io$' "$work/set" && grep -q "Another API serves apps.cozystack.io" "$work/set"
}

check_cluster() {
	CRDS='' NEIGHBOURS=newest bash e2e/cluster/up.sh "$state" || { it "a cluster" false && return; }
	# shellcheck source=/dev/null
	. "$state/env"
	helm=$helm3
	it "it is installed without a value" install
	it "its CRDs are established" within 30 crds_stand
	it "the API server takes what it makes with each value" each_dry
	rights
	policies
	goes_and_comes "$helm3" "Helm 3"
	helm=$helm4
	it "Helm 4 installs it, and takes up the CRDs" eval 'install && crds_stand'
	goes_and_comes "$helm4" "Helm 4"
	theirs
	it "a CRD of another release is left to it, and Cozystack's API too" leaves_theirs
}

parts=(check_values check_images check_cluster)
if [ "${STATE:-}" ]; then
	# shellcheck source=/dev/null
	. "$state/env"
	parts=(rights policies)
fi
for part in "${parts[@]}"; do
	[[ $part != *"${ONLY:-}"* ]] || $part
done
echo "1..$n"
exit $failed
