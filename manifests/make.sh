#!/bin/bash
# make.sh [--check]: writes what is made from the chart: install.yaml, for who has no Helm, and the table of values in the chart's README.
# With --check it writes nothing, says what is not current, and ends with 1 then.
set -euo pipefail
prog=manifests/make.sh
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../e2e/lib.sh
. "$here/../e2e/lib.sh"
case ${1:-} in -h | --help) usage && exit 0 ;; esac
cd "$here"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# install: Helm sorts objects as they need each other; the namespace, which it makes itself, stands before them
install() {
	cat <<'Y'
# vmgpu as its chart installs it without a value, made by `make manifests`:
#   kubectl apply --server-side -f install.yaml
apiVersion: v1
kind: Namespace
metadata:
  name: vmgpu-system
  labels:
    pod-security.kubernetes.io/enforce: privileged # hostPath and hostPID; no container is privileged
Y
	"$(bash ../e2e/cluster/build.sh helm3)/helm" template vmgpu chart/vmgpu --namespace vmgpu-system --skip-tests 2>"$work/said" >"$work/made" ||
		die "$(cat "$work/said")"
	grep -v '^# Source: ' "$work/made"
}

readme() {
	awk -v made="$(awk -f values.awk chart/vmgpu/values.yaml)" '
		/^<!-- values/ { print; print "| value | default | |"; print "| --- | --- | --- |"; print made; skip = 1 }
		/^<!-- end/ { skip = 0 }
		!skip' chart/vmgpu/README.md
}

# made FILE COMMAND
made() {
	"$2" >"$work/new"
	! cmp -s "$work/new" "$1" || return 0
	if [ "${check:-}" ]; then
		say "$1 is not what the chart makes: make manifests"
		diff "$1" "$work/new" | head -20 >&2
		rc=1
	else
		cp "$work/new" "$1"
	fi
}

rc=0
[ "${1:-}" != --check ] || check=1
made install.yaml install
made chart/vmgpu/README.md readme
exit $rc
