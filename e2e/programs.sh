#!/bin/bash
# programs.sh: what the programs say to flags, kubeconfigs, tokens and CAs that are missing, wrong or half written: one line that names
# what and where and what to do, and exit code 2. Needs no cluster. Prints TAP.
set -uo pipefail
prog=programs.sh
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$top/e2e/lib.sh"
case ${1:-} in -h | --help) usage && exit 0 ;; esac
bin=$top/build/dev
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
n=0 failed=0

# says WORD... -- PROGRAM ARGUMENT...: ends at once with code 2 ($want_rc) and one line beside the log that has its own name and each word
says() {
	local words=() word program rc=0 bad=''
	while [ "$1" != -- ]; do words+=("$1") && shift; done
	shift
	program=$1
	timeout 10 env -u KUBECONFIG -u NODE_NAME HOME="$work/home" "$bin/$program" "${@:2}" </dev/null >out 2>err || rc=$?
	[ "$rc" = "${want_rc:-2}" ] || bad="exit code $rc, want ${want_rc:-2}"
	[ ! -s out ] || bad="something on stdout: $(head -1 out)"
	grep -v '^{"ts"' err >said
	[ "$(wc -l <said)" = 1 ] || bad="$(wc -l <said) lines on stderr beside the log"
	for word in "${program%-vmgpu}" "${words[@]}"; do
		grep -qF -- "$word" said || bad="lacks: $word"
	done
	n=$((n + 1))
	[ -z "$bad" ] || { sed 's/^/# /' err && echo "# $bad" && printf 'not ' && failed=1; }
	shift
	echo "ok $n - $program $* is answered by one line: ${words[*]}"
}

# helps PROGRAM ARGUMENT...: its --help is whole: no blank line too many, no heading without rows, nothing at the end of a line
helps() {
	local program=$1 rc=0 bad=''
	"$bin/$program" "${@:2}" --help >out 2>err </dev/null || rc=$?
	[ "$rc" = 0 ] && [ -s out ] && [ ! -s err ] || bad="exit code $rc"
	bad+=$(awk '/[ \t]$/ {print "a blank at the end of line " NR "; "}
		!$0 && last == "" {print "a blank line too many at " NR "; "}
		{last = $0} END {if (last ~ /:$/ || last == "") print "nothing behind its last line"}' out)
	n=$((n + 1))
	[ -z "$bad" ] || { sed 's/^/# /' out && echo "# $bad" && printf 'not ' && failed=1; }
	shift
	echo "ok $n - $program${*:+ $*} --help is whole"
}

kubeconfig() { # CLUSTER USER: the rest of the two
	cat <<Y
apiVersion: v1
kind: Config
clusters:
- {name: c, cluster: {server: "https://127.0.0.1:1", $1}}
users:
- {name: u, user: {$2}}
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
Y
}

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=a -keyout key -out ca 2>/dev/null
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=b -keyout key2 -out ca2 2>/dev/null
head -c 200 ca >half-ca
: >empty
echo 'certificate: none' >wrong
ca='certificate-authority: ca'
kubeconfig "$ca" 'token: t' >good
kubeconfig "$ca" 'token: t' | head -c 110 >half
kubeconfig 'certificate-authority: half-ca' 'token: t' >ca-half
kubeconfig 'certificate-authority: wrong' 'token: t' >ca-wrong
kubeconfig 'certificate-authority: nowhere' 'token: t' >ca-missing
kubeconfig 'certificate-authority-data: "%%%"' 'token: t' >ca-data
kubeconfig "$ca" 'tokenFile: nowhere' >token-missing
kubeconfig "$ca" 'tokenFile: empty' >token-empty
kubeconfig "$ca" 'token: {a: b}' >token-map
kubeconfig "$ca" 'client-certificate: ca, client-key: key2' >key-other
kubeconfig "$ca" 'client-certificate: ca' >key-missing
kubeconfig "$ca" 'exec: {apiVersion: client.authentication.k8s.io/v1, command: ./nowhere, interactiveMode: Never, installHint: install it}' >exec-missing
sed 's/user: u/user: w/' good >user-unknown
sed 's/https:/ftp:/' good >server-ftp
sed 's/current-context: x/current-context: y/' good >context-unknown

for p in vmgpu-controller vmgpu-node; do
	node=()
	[ $p = vmgpu-controller ] || node=(--node-name n --state-dir state)
	says --kubeconf --kubeconfig -- $p --kubeconf=x
	says --log-level 'error|warn|info|debug' -- $p --log-level=loud
	says '"extra"' -- $p extra
	says nowhere 'does not exist' -- $p "${node[@]}" --kubeconfig nowhere
	says --kubeconfig KUBECONFIG -- $p "${node[@]}"
	says half: mend -- $p "${node[@]}" --kubeconfig half
	says empty -- $p "${node[@]}" --kubeconfig empty
	says '"zz"' --context -- $p "${node[@]}" --kubeconfig good --context zz
	says context-unknown '"y"' --context -- $p "${node[@]}" --kubeconfig context-unknown
	says user-unknown '"w"' -- $p "${node[@]}" --kubeconfig user-unknown
	says server-ftp server https:// -- $p "${node[@]}" --kubeconfig server-ftp
	says ca-missing certificate-authority nowhere give -- $p "${node[@]}" --kubeconfig ca-missing
	says half-ca 'BEGIN CERTIFICATE' -- $p "${node[@]}" --kubeconfig ca-half
	says wrong 'BEGIN CERTIFICATE' -- $p "${node[@]}" --kubeconfig ca-wrong
	says ca-data certificate-authority-data base64 -- $p "${node[@]}" --kubeconfig ca-data
	says token-missing tokenFile nowhere give -- $p "${node[@]}" --kubeconfig token-missing
	says empty -- $p "${node[@]}" --kubeconfig token-empty
	says token-map token 'must be a string' -- $p "${node[@]}" --kubeconfig token-map
	says key -- $p "${node[@]}" --kubeconfig key-other
	says key-missing client-key -- $p "${node[@]}" --kubeconfig key-missing
	says ' --metrics-bind-address: "41607" is no address' HOST:PORT '--metrics-bind-address=:8080, or 0 for none)' -- $p "${node[@]}" --kubeconfig good --metrics-bind-address=41607
	helps $p
done
says --lease-duration 90s -- vmgpu-controller --lease-duration=soon
says --lease-duration --renew-deadline -- vmgpu-controller --lease-duration=5s --kubeconfig good
says --concurrent-passes 256 -- vmgpu-controller --concurrent-passes=0
says --permit 'auto|manage|report' -- vmgpu-controller --permit=maybe
says --node-name NODE_NAME -- vmgpu-node --kubeconfig good
says --sys-root nowhere -- vmgpu-node --once --sys-root nowhere
says --output 'yaml|json|table' -- vmgpu-node --once -o xml
says '"frobnicate"' --help -- kubectl-vmgpu frobnicate
says -f -- kubectl-vmgpu render
says nowhere -- kubectl-vmgpu render -f nowhere --facts empty
says nowhere -- kubectl-vmgpu render -f nowhere --images-namespace i --cozy-proxy --load-balancer-node-ports=false --permit report
says nowhere -- kubectl-vmgpu get gpus --kubeconfig nowhere
cat >vm.yaml <<'Y'
apiVersion: apps.cozystack.io/v1alpha1
kind: VMInstance
metadata: {name: a}
spec: {gpus: [{name: nvidia.com/AD102GL_L40S, count: 99}]}
Y
says --namespace '"Tenant"' 'lower-case letters' -- kubectl-vmgpu render -f vm.yaml -n Tenant
says 'vm.yaml: VMInstance a: spec.gpus[0].count' 'from 1 to 64' -- kubectl-vmgpu render -f vm.yaml
sed -i 's/99/2/' vm.yaml
"$bin/kubectl-vmgpu" render -f empty >out 2>err && [ ! -s out ] && [ "$(wc -l <err)" = 1 ] && grep -q '^# nothing to render: .*VMInstance' err ||
	{ sed 's/^/# /' out err && printf 'not ' && failed=1; }
n=$((n + 1))
echo "ok $n - kubectl-vmgpu render says where nothing is of its kinds"
"$bin/kubectl-vmgpu" render -f vm.yaml -n tenant-a >out 2>err
n=$((n + 1))
[ "$(grep -c '^  namespace: tenant-a$' out)" = "$(grep -c '^---$' out)" ] && [ -s out ] || { sed 's/^/# /' out err && printf 'not ' && failed=1; }
echo "ok $n - kubectl-vmgpu render -n: every object is in the namespace"

helps kubectl-vmgpu
for verb in render get version; do helps kubectl-vmgpu $verb; done

# A list that ends in its middle, with a length that says it does not.
cat >cut.py <<'P'
import http.server
class Cut(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args): pass
    def do_GET(self):
        part = b'{"kind":"GPUNodeList","apiVersion":"vmgpu.io/v1alpha1","metadata":{},"items":[{"metadata":{"name":"n"}},'
        self.send_response(200)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)
server = http.server.HTTPServer(("127.0.0.1", 0), Cut)
print(server.server_port, flush=True)
server.handle_request()
P
exec 3< <(timeout 20 python3 cut.py)
read -r port <&3
kubeconfig '' 'token: t' | sed "s|https://127.0.0.1:1\"|http://127.0.0.1:$port\"|" >cut
want_rc=1 says 'cut short' 'ask again' -- kubectl-vmgpu get gpus --kubeconfig cut

# One card and its audio; two cards of one IOMMU group, which are one unit.
cat >list.py <<'P'
import http.server, json
def unit(address, *functions):
    return {"id": address, "address": address, "name": "nvidia.com/X", "model": "X", "driver": "vfio-pci",
            "functions": [{"address": a, "role": r} for a, r in functions], "conditions": [{"type": "Available", "status": "True", "reason": "Free"}]}
class List(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args): pass
    def do_GET(self):
        units = [unit("0000:01:00.0", ("0000:01:00.0", "gpu"), ("0000:01:00.1", "audio")),
                 unit("0000:02:00.0", ("0000:02:00.0", "gpu"), ("0000:02:00.1", "audio"), ("0000:03:00.0", "gpu"))]
        text = json.dumps({"kind": "GPUNodeList", "apiVersion": "vmgpu.io/v1alpha1", "metadata": {},
                           "items": [{"metadata": {"name": "n"}, "status": {"units": units}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
server = http.server.HTTPServer(("127.0.0.1", 0), List)
print(server.server_port, flush=True)
server.handle_request()
P
exec 3< <(timeout 20 python3 list.py)
read -r port <&3
kubeconfig '' 'token: t' | sed "s|https://127.0.0.1:1\"|http://127.0.0.1:$port\"|" >list
timeout 10 "$bin/kubectl-vmgpu" get gpus --kubeconfig list >out 2>err </dev/null
n=$((n + 1))
if [ "$(awk 'NR > 1 {print $2}' out)" != $'0000:01:00.0\n0000:02:00.0,0000:03:00.0' ]; then
	sed 's/^/# /' out err && printf 'not ' && failed=1
fi
echo "ok $n - kubectl-vmgpu get gpus shows every card, also the second of a unit"
echo "1..$n"
exit $failed
