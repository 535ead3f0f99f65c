# e2e/cluster/lib.sh: the parts of up.sh and down.sh that both need; sourced after ../lib.sh.
# A cluster is a folder: kubeconfig, env (to be sourced), pki/, etcd/, log/NAME, pid/NAME, port. Each process has the
# folder as its working folder and leads a session of its own. What is in the folder is thrown away with the cluster,
# so nothing needs to be stopped with care.
# shellcheck shell=bash
# shellcheck disable=SC2154 # $cache is of ../lib.sh

# stop_cluster STATE: ends every process of it
stop_cluster() {
	local state=$1 file pid pids=()
	[ -d "$state/pid" ] || return 0
	# The loops first: they would start their programs again.
	for file in "$state"/pid/*.loop "$state"/pid/*; do
		pid=$(cat "$file" 2>/dev/null) || continue
		alive "$pid" "$state" || continue
		kill -KILL -- "-$pid" 2>/dev/null || kill -KILL "$pid" 2>/dev/null || true
		pids+=("$pid")
	done
	for pid in ${pids[@]+"${pids[@]}"}; do
		while alive "$pid" "$state"; do sleep 0.02; done
	done
}

free_port() { # PORT: nobody listens there
	local hex
	hex=$(printf ':%04X ' "$1")
	! grep -qE "^ *[0-9]+: [0-9A-F]+${hex}[0-9A-F:]+ 0A" /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

free_ports() { # PORT: nobody listens there and on the seven after it
	local port
	for ((port = $1; port < $1 + 8; port++)); do free_port "$port" || return 1; done
}

# claim_ports STATE: sets port to the first of eight that are free and that no other cluster of this cache has claimed.
# All are below 32768, where outgoing connections get theirs.
claim_ports() {
	local claims=$cache/cluster/ports try owner
	mkdir -p "$claims"
	lock "$claims.lock"
	for ((try = 0; try < 1000; try++)); do
		port=$((16384 + RANDOM % 2048 * 8))
		owner=$(cat "$claims/$port" 2>/dev/null || true)
		[ -z "$owner" ] || [ "$(cat "$owner/port" 2>/dev/null)" != "$port" ] || continue
		free_ports "$port" || continue
		echo "$1" >"$claims/$port"
		echo "$port" >"$1/port"
		unlock
		return 0
	done
	die "no eight free ports between 16384 and 32767"
}

release_ports() { # STATE
	local port
	port=$(cat "$1/port" 2>/dev/null) || return 0
	[ "$(cat "$cache/cluster/ports/$port" 2>/dev/null)" != "$1" ] || rm -f "$cache/cluster/ports/$port"
}

# node_identity STATE NODE DIR HOST: makes DIR/kubeconfig, with which a kubelet that sees the API server at HOST logs in as its node, and the
# server's Node authorizer lets it do what a node may
node_identity() {
	local state=$1 node=$2 dir=$3
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/O=system:nodes/CN=system:node:$node" \
		-config <(printf '[req]\ndistinguished_name=d\nx509_extensions=x\n[d]\n[x]\nbasicConstraints=CA:FALSE\n') \
		-CA "$state/pki/ca.crt" -CAkey "$state/pki/ca.key" -keyout "$dir/kubelet.key" -out "$dir/kubelet.crt" 2>"$dir/openssl" || die "$(cat "$dir/openssl")"
	cat >"$dir/kubeconfig" <<Y
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://$4:$(cat "$state/port")", certificate-authority: $state/pki/ca.crt}}]
users: [{name: u, user: {client-certificate: $dir/kubelet.crt, client-key: $dir/kubelet.key}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
Y
}
