# Sourced: etcd, kube-apiserver and kube-controller-manager on free ports of loopback, with a folder of their own; all gone
# when the script ends. No node: pods are made and admitted, and stay pending.
# Needs $etcd, $control_plane (folder of the two programs) and $kubectl.
scratch=$(mktemp -d)
servers=
end_cluster() {
    for server in $servers; do kill "$server" 2>/dev/null || true; done
    for server in $servers; do wait "$server" 2>/dev/null || true; done
    rm -rf "$scratch"
}
trap end_cluster EXIT
trap 'exit 1' INT TERM

free_ports() {
    python3 -c '
import socket, sys
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(one.getsockname()[1] for one in held))' "$1"
}

# within SECONDS WHAT COMMAND...: waits until the command succeeds; ends the script with what it said last where it doesn't.
within() {
    deadline=$(($(date +%s) + $1))
    what=$2
    shift 2
    until "$@" >"$scratch/said" 2>&1; do
        if [ "$(date +%s)" -ge "$deadline" ]; then
            echo "$what: not in time" >&2
            tail -5 "$scratch/said" "$scratch"/*.log >&2
            exit 1
        fi
        sleep 0.2
    done
}

# cluster: starts all three, and writes $KUBECONFIG of an administrator.
cluster() {
    set -- $(free_ports 4)
    client=$1 peer=$2 secure=$3 manager=$4
    server=https://127.0.0.1:$secure
    authority=$scratch/certificates/apiserver.crt
    "$etcd" --data-dir "$scratch/etcd" --listen-client-urls "http://127.0.0.1:$client" \
        --advertise-client-urls "http://127.0.0.1:$client" --listen-peer-urls "http://127.0.0.1:$peer" \
        --initial-advertise-peer-urls "http://127.0.0.1:$peer" --initial-cluster "default=http://127.0.0.1:$peer" \
        >"$scratch/etcd.log" 2>&1 &
    servers="$!"
    openssl genrsa -out "$scratch/accounts.key" 2048 2>/dev/null
    openssl rsa -in "$scratch/accounts.key" -pubout -out "$scratch/accounts.pub" 2>/dev/null
    token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    (umask 077 && echo "$token,administrator,administrator,system:masters" >"$scratch/tokens.csv")
    "$control_plane/kube-apiserver" --etcd-servers "http://127.0.0.1:$client" --bind-address 127.0.0.1 \
        --secure-port "$secure" --cert-dir "$scratch/certificates" --token-auth-file "$scratch/tokens.csv" \
        --service-cluster-ip-range 10.96.0.0/16 --authorization-mode RBAC --endpoint-reconciler-type none \
        --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$scratch/accounts.pub" \
        --service-account-signing-key-file "$scratch/accounts.key" >"$scratch/apiserver.log" 2>&1 &
    servers="$! $servers"
    KUBECONFIG=$scratch/kubeconfig
    export KUBECONFIG
    within 60 "kube-apiserver's certificate" test -s "$authority"
    "$kubectl" config set-cluster here --server "$server" --certificate-authority "$authority" >/dev/null
    "$kubectl" config set-credentials administrator --token "$token" >/dev/null
    "$kubectl" config set-context here --cluster here --user administrator >/dev/null
    "$kubectl" config use-context here >/dev/null
    within 120 kube-apiserver "$kubectl" get --raw /readyz
    "$control_plane/kube-controller-manager" --kubeconfig "$KUBECONFIG" --bind-address 127.0.0.1 \
        --secure-port "$manager" --cert-dir "$scratch/manager" --leader-elect=false \
        --service-account-private-key-file "$scratch/accounts.key" >"$scratch/manager.log" 2>&1 &
    servers="$! $servers"
    within 60 "kube-controller-manager" "$kubectl" get serviceaccount default --namespace default
}
