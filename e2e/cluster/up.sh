#!/bin/bash
# up.sh STATE: starts a control plane on localhost in the folder STATE (new, empty, or of a start that failed) and
# waits until it answers: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, and KubeVirt's virt-api and
# virt-controller. Then: . STATE/env, which sets KUBECONFIG, KUBECACHEDIR and PATH. down.sh STATE ends it. Any number may run.
# Programs are built once (build.sh). Nodes are not part of it: see ../node and the player.
#
# Variables:
#   ETCD=built|debian|FILE       etcd 3.7 (default), Debian's 3.4 (refuses streamed lists), or a program
#   PORT=N                       API server's port, the next seven for the others; default: any eight free ones
#   CRDS=FOLDER                  our kinds; default: crds/ of this repository if it is there; empty: none
#   NEIGHBOURS=newest|cozystack  also Cluster API, Kamaji, Talos, Flux, in one of two generations (../data/crds)
#   WITHOUT_KUBEVIRT=1           neither KubeVirt nor CDI
#   AUDIT=1                      a line for each request in STATE/log/audit
#   MANY=1                       it is one of many small ones on this machine: a core for each program, 2 GB for all
#   APISERVER_ARGS="..."         more arguments for kube-apiserver
set -euo pipefail
prog=up.sh
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$here/../lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"

# What is being done, and whose log to read if it fails.
doing='' look=''
state='' port='' bin=''

start() { # NAME ARGUMENT...
	look=$1
	frugal "$1" detached "$@" >"log/$1" 2>&1 </dev/null &
	echo $! >"pid/$1"
	disown
}

# frugal NAME COMMAND...: one of MANY uses one core, and collects garbage late: a seventh of kube-apiserver's CPU in a start
frugal() {
	local name=$1
	shift
	if [ -n "${MANY:-}" ]; then
		export GOMAXPROCS=1 GOGC=300
		case $name in
		kube-apiserver) export GOGC=off GOMEMLIMIT=1100MiB ;;
		virt-api) export GOGC=off GOMEMLIMIT=400MiB ;;
		esac
	fi
	"$@"
}

supervise() { # NAME ARGUMENT...
	look=$1
	frugal "$1" detached bash "$here/supervise.sh" "$@" >"log/$1" 2>&1 </dev/null &
	echo $! >"pid/$1.loop"
	disown
}

# kube ARGUMENT...: kubectl, its complaints in log/kubectl
kube() {
	look=kubectl
	kubectl "$@" 2>>log/kubectl
}

# is_lost FILE: that of a process that should run and does not
is_lost() {
	local pid=''
	case $1 in pid/virt-api | pid/virt-controller | 'pid/*') return 1 ;; esac
	read -r pid <"$1" || true
	! alive "$pid" "$state"
}

# lost: the names of all such; all_run: there is none (no process is started for it, since it is asked often)
lost() {
	local file
	for file in pid/*; do ! is_lost "$file" || echo "${file#pid/}"; done
}
all_run() {
	local file
	for file in pid/*; do ! is_lost "$file" || return 1; done
}

# api PATH ARGUMENT...: asks the API server as kubectl would, without its start and its discovery
api() { curl -sSf --cacert pki/ca.crt -H @pki/authorization "https://127.0.0.1:$port$1" "${@:2}"; }

await() { # SECONDS TEXT COMMAND...
	local end=$((SECONDS + $1)) text=$2
	shift 2
	doing="waiting for $text"
	until "$@" >/dev/null 2>&1; do
		all_run || exit 1
		[ $SECONDS -lt $end ] || die "gave up waiting for $text"
		nap 0.2
	done
}

# On the way out, unless all went well: says what to read, and leaves no process.
failed() {
	local status=$? name
	[ "$status" != 0 ] || return 0
	trap '' INT TERM
	say "failed: $doing"
	for name in $( (lost && echo "$look") | sort -u); do
		if [ "$status" -ge 128 ] || [ ! -s "log/$name" ]; then continue; fi
		say "the end of $state/log/$name:"
		tail -n 12 "log/$name" | cut -c1-400 >&2
	done
	stop_cluster "$state"
	release_ports "$state"
	touch "$state/.failed"
	say "stopped; the logs stay in $state/log until the next up.sh or down.sh of this folder"
	exit "$status"
}

authority() { # NAME
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=$1" \
		-keyout "pki/$1.key" -out "pki/$1.crt"
}

certificate() { # NAME AUTHORITY SUBJECT NAMES
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "$3" -keyout "pki/$1.key" -out "pki/$1.csr"
	openssl x509 -req -in "pki/$1.csr" -CA "pki/$2.crt" -CAkey "pki/$2.key" -CAcreateserial -days 30 \
		-out "pki/$1.crt" -extfile <(echo "subjectAltName=$4")
	rm "pki/$1.csr"
}

# 10.0.2.2 is this machine in the eyes of a guest of ../node.
make_pki() {
	authority ca
	authority front-proxy-ca
	certificate apiserver ca /CN=kube-apiserver DNS:localhost,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:10.0.0.1,IP:10.0.2.2
	certificate front-proxy front-proxy-ca /CN=front-proxy DNS:front-proxy
	certificate virt-api ca /CN=virt-api DNS:virt-api.kubevirt.svc,DNS:localhost,IP:127.0.0.1
	openssl ecparam -name prime256v1 -genkey -noout -out pki/sa.key
	openssl ec -in pki/sa.key -pubout -out pki/sa.pub
}

make_token() {
	token=$(openssl rand -hex 16)
	echo "$token,admin,admin,system:masters" >pki/tokens.csv
	echo "Authorization: Bearer $token" >pki/authorization
	kubeconfig kubeconfig "$token"
}

kubeconfig() { # FILE TOKEN
	cat >"$1" <<Y
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:$port", certificate-authority-data: $(base64 -w0 pki/ca.crt)}}]
users: [{name: u, user: {token: $2}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
Y
}

start_etcd() {
	local url=http://127.0.0.1:$((port + 1)) peer=http://127.0.0.1:$((port + 2)) fsync=()
	# A test's data need not survive a power cut. etcd 3.4 does not know the option.
	! "$(command -v etcd)" --help 2>&1 | grep -q unsafe-no-fsync || fsync=(--unsafe-no-fsync)
	start etcd --data-dir=etcd ${fsync[@]+"${fsync[@]}"} --listen-client-urls="$url" --advertise-client-urls="$url" \
		--listen-peer-urls="$peer" --initial-advertise-peer-urls="$peer" --initial-cluster="default=$peer"
}

start_apiserver() {
	local more=()
	read -ra more <<<"${APISERVER_ARGS:-}"
	if [ -n "${AUDIT:-}" ]; then
		printf '%s\n' 'apiVersion: audit.k8s.io/v1' 'kind: Policy' 'rules: [{level: Metadata}]' \
			'omitStages: [RequestReceived]' >pki/audit.yaml
		more+=(--audit-policy-file=pki/audit.yaml --audit-log-path=log/audit --audit-log-mode=blocking)
	fi
	start kube-apiserver --etcd-servers="http://127.0.0.1:$((port + 1))" --secure-port="$port" --bind-address=127.0.0.1 \
		--tls-cert-file=pki/apiserver.crt --tls-private-key-file=pki/apiserver.key --client-ca-file=pki/ca.crt \
		--kubelet-client-certificate=pki/apiserver.crt --kubelet-client-key=pki/apiserver.key \
		--requestheader-client-ca-file=pki/front-proxy-ca.crt --requestheader-allowed-names=front-proxy \
		--requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
		--requestheader-extra-headers-prefix=X-Remote-Extra- \
		--proxy-client-cert-file=pki/front-proxy.crt --proxy-client-key-file=pki/front-proxy.key \
		--service-account-issuer=https://kubernetes.default.svc --service-account-key-file=pki/sa.pub \
		--service-account-signing-key-file=pki/sa.key --authorization-mode=RBAC,Node --token-auth-file=pki/tokens.csv \
		--service-cluster-ip-range=10.0.0.0/24 --allow-privileged ${more[@]+"${more[@]}"}
	await 180 "the API server" api /readyz
}

# The endpoints controllers would go on writing for minutes after a load with Services.
start_controllers() {
	start kube-controller-manager --kubeconfig=kubeconfig --service-account-private-key-file=pki/sa.key \
		--root-ca-file=pki/ca.crt --use-service-account-credentials --leader-elect=false --bind-address=127.0.0.1 \
		--secure-port=$((port + 3)) --cert-dir=pki/kcm \
		--controllers='*,-endpoints-controller,-endpointslice-controller,-endpointslice-mirroring-controller'
	start kube-scheduler --kubeconfig=kubeconfig --authentication-kubeconfig=kubeconfig \
		--authorization-kubeconfig=kubeconfig --leader-elect=false --bind-address=127.0.0.1 \
		--secure-port=$((port + 4)) --cert-dir=pki/scheduler
}

apply() { # ARGUMENT...: server-side, since KubeVirt's CRDs are beyond what client-side apply can annotate
	kube apply --server-side "$@" >/dev/null
}

# crds: the folders and files to apply, one a line
crds() {
	[ -n "${WITHOUT_KUBEVIRT:-}" ] || printf '%s\n' pki/crds.json "$here/../data/crds/cdi-v1.66.0"
	[ -z "${NEIGHBOURS:-}" ] || printf '%s\n' "$here/../data/crds/$NEIGHBOURS" "$here/../data/crds/common"
	[ -z "$(find "$CRDS" -name '*.yaml' 2>/dev/null | head -1)" ] || printf '%s\n' "$CRDS"
}

install_crds() {
	local folder args=()
	doing='installing CRDs'
	[ -n "${WITHOUT_KUBEVIRT:-}" ] || objects crds >pki/crds.json
	while read -r folder; do args+=(-f "$folder"); done < <(crds)
	[ ${#args[@]} -gt 0 ] || return 0
	apply -R "${args[@]}"
	kube wait --for=condition=Established crd --all --timeout=60s >/dev/null
}

install_kubevirt() {
	doing="installing KubeVirt's objects"
	objects install pki/ca.crt $((port + 5)) >pki/install.json
	# What leads to virt-api comes when it answers: webhooks fail closed, and an APIService found dead is tried again late.
	grep -vE '"kind":"(APIService|[A-Za-z]*WebhookConfiguration)"' pki/install.json | apply -f - -f "$here/kubevirt/kubevirt.yaml"
	kube -n kubevirt patch kubevirt kubevirt --subresource=status --type=merge \
		-p '{"status":{"phase":"Deployed","defaultArchitecture":"amd64","observedKubeVirtVersion":"v1.9.0"}}' >/dev/null
}

# kubevirt_tokens: virt-api and virt-controller log in as their service accounts
kubevirt_tokens() {
	local name token
	look=kube-apiserver
	for name in apiserver controller; do
		doing="making a token for virt-$name"
		token=$(api "/api/v1/namespaces/kubevirt/serviceaccounts/kubevirt-$name/token?pretty=false" -H 'Content-Type: application/json' \
			-d '{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"expirationSeconds":86400}}' | sed -n 's/.*"token":"\([^"]*\)".*/\1/p')
		[ -n "$token" ] || die "the API server gives none"
		kubeconfig "pki/virt-$name.kubeconfig" "$token"
	done
}

# --- What CRDs and KubeVirt's objects make of an empty etcd is kept in the cache, since to install them is most of a start. ---

# kept_name: a folder for each set of what goes into it; what is a week old is made anew (certificates last for 30 days)
kept_name() {
	local of
	of=$({
		echo "${bin#"$state/bin:"} $ETCD ${NEIGHBOURS:-} ${WITHOUT_KUBEVIRT:-}"
		cat "$here/up.sh" "$here/kubevirt/kubevirt.yaml"
		[ -z "$CRDS" ] || find "$CRDS" -name '*.yaml' -exec cat {} +
		find "$here/../data/crds" -type f -exec cat {} +
	} | sha256sum | cut -c1-12)
	echo "$cache/cluster/kept/$of"
}

# restore KEPT: true if that is there
restore() {
	find "$cache/cluster/kept" -mindepth 1 -maxdepth 1 -mtime +6 -exec rm -rf {} + 2>/dev/null || true
	[ -e "$1/pki/sa.pub" ] || return 1
	cp -a "$1/etcd" . && cp -a "$1/pki/"* pki/
}

# keep KEPT: copies the data of an etcd that is killed for it, which is as good as a power cut without one
keep() {
	local new=$1.$$
	doing='keeping the data'
	mkdir -p "${1%/*}" "$new/pki"
	kill -KILL "$(cat pid/etcd)"
	while alive "$(cat pid/etcd)" "$state"; do sleep 0.02; done
	cp -a etcd "$new/"
	start_etcd
	cp -a pki/*.key pki/*.crt pki/sa.pub "$new/pki/"
	mv -T "$new" "$1" 2>/dev/null || rm -rf "$new"
	await 180 "the API server" api /readyz
}

# install KEPT: CRDs and KubeVirt's objects
install() {
	timed "CRDs established" install_crds
	[ -n "${WITHOUT_KUBEVIRT:-}" ] || timed "KubeVirt's objects installed" install_kubevirt
	keep "$1"
}

start_kubevirt() {
	local tls=pki/virt-api
	[ -e pki/install.json ] || objects install pki/ca.crt $((port + 5)) >pki/install.json
	supervise virt-api --kubeconfig=pki/virt-apiserver.kubeconfig --listen=127.0.0.1 --port=$((port + 5)) \
		--tls-cert-file=$tls.crt --tls-key-file=$tls.key --handler-cert-file=$tls.crt --handler-key-file=$tls.key -v 2
	supervise virt-controller --kubeconfig=pki/virt-controller.kubeconfig --listen=127.0.0.1 --port=$((port + 6)) \
		--prom-cert-file=$tls.crt --prom-key-file=$tls.key \
		--launcher-image=virt-launcher:v1.9.0 --exporter-image=virt-exportserver:v1.9.0 -v 2
	look=virt-api
	await 180 virt-api curl -sfk "https://127.0.0.1:$((port + 5))/apis/subresources.kubevirt.io/v1"
	grep -E '"kind":"(APIService|[A-Za-z]*WebhookConfiguration)"' pki/install.json | apply -f -
	await 180 "virt-api's APIService" api /apis/subresources.kubevirt.io/v1
}

virt_controller_leads() {
	api "/apis/coordination.k8s.io/v1/namespaces/kubevirt/leases/virt-controller?pretty=false" | grep '"holderIdentity":"[^"]'
}

programs() { # sets PATH and etcd, to the folders with what we start
	local dirs=() list
	case ${ETCD:=built} in
	built) list=etcd ;;
	debian) list=etcd-debian ;;
	/*)
		[ -x "$ETCD" ] || die "ETCD=$ETCD: no such program"
		list=''
		;;
	*) die "ETCD=$ETCD: built, debian, or a program's full name" ;;
	esac
	list="$list kubernetes"
	[ -n "${WITHOUT_KUBEVIRT:-}" ] || list="$list kubevirt"
	# shellcheck disable=SC2086
	list=$("$here/build.sh" $list)
	mapfile -t dirs <<<"$list"
	bin=$(printf '%s:' "${dirs[@]}")
	case $ETCD in /*) bin=$state/bin:$bin ;; esac
	PATH=$bin$PATH
}

prepare() { # FOLDER
	mkdir -p "$1"
	state=$(cd "$1" && pwd -P)
	[ ! -e "$state/.failed" ] || rm -rf "${state:?}"/* "$state/.failed" "$state/.vmgpu-cluster"
	[ -z "$(ls -A "$state")" ] || die "$state is not empty (down.sh $state?)"
	CRDS=${CRDS-$here/../../crds}
	case ${NEIGHBOURS:-} in '' | newest | cozystack) ;; *) die "NEIGHBOURS=$NEIGHBOURS: newest or cozystack" ;; esac
	programs
	cd "$state"
	touch .vmgpu-cluster
	mkdir -m 700 pki
	mkdir log pid tmp
	# virt-api leaves a folder there.
	export TMPDIR=$state/tmp
	case $ETCD in /*) mkdir bin && ln -s "$ETCD" bin/etcd ;; esac
}

main() {
	local from=$SECONDS kept restored=''
	arguments 1 "$@"
	umask 022
	prepare "$1"
	trap 'exit 130' INT
	trap 'exit 143' TERM
	trap failed EXIT
	if [ -n "${PORT:-}" ]; then
		port=$PORT doing="taking port $port"
		free_ports "$port" || die "one of the ports $port to $((port + 7)) is in use"
		echo "$port" >port
	else
		claim_ports "$state"
	fi
	doing='making certificates' look=openssl
	umask 077
	kept=$(kept_name)
	if restore "$kept"; then restored=1; else make_pki 2>log/openssl; fi
	make_token
	umask 022
	# What kubectl remembers of this server goes with it, and not into the home folder.
	export KUBECONFIG=$state/kubeconfig KUBECACHEDIR=$state/tmp/kubectl
	# shellcheck disable=SC2016
	printf 'export KUBECONFIG=%q KUBECACHEDIR=%q PATH=%q$PATH\n' "$KUBECONFIG" "$KUBECACHEDIR" "$bin" >./env
	start_etcd
	timed "API server answers" start_apiserver
	start_controllers
	[ -n "$restored" ] || install "$kept"
	if [ -z "${WITHOUT_KUBEVIRT:-}" ]; then
		kubevirt_tokens
		timed "virt-api answers" start_kubevirt
		timed "virt-controller leads" await 180 virt-controller virt_controller_leads
	fi
	timed "default ServiceAccount exists" await 180 'kube-controller-manager' api /api/v1/namespaces/default/serviceaccounts/default
	doing=''
	say "ready after $((SECONDS - from)) s: . $state/env"
}

main "$@"
