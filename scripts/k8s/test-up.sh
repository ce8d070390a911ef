#!/bin/sh
# What scripts/k8s-up.sh decides, with programs in the place of kubectl, kind, k3d, minikube and Docker that only write down
# how they are called. It isn't a cluster: whether the fleet comes up there is for a cluster to show.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# A copy of what k8s-up.sh reads, with stubs where it would build or get something.
mkdir -p "$scratch/bin" "$scratch/scripts" "$scratch/k8s/overlays/dev"
cp "$root/scripts/k8s-up.sh" "$scratch/scripts/"
cp "$root/k8s/overlays/dev/values.yaml" "$scratch/k8s/overlays/dev/"
echo 'echo "images $* REGISTRY=$REGISTRY TAG=$TAG" >>"$CALLS"' >"$scratch/scripts/images.sh"
echo "tool() { echo '$scratch/bin/kubectl'; }" >"$scratch/scripts/tool.sh"
for name in kind k3d minikube; do
    printf '#!/bin/sh\necho "%s $*" >>"$CALLS"\n' "$name" >"$scratch/bin/$name"
done
cat >"$scratch/bin/kubectl" <<'STUB'
#!/bin/sh
case "$*" in
"config current-context") [ -n "$CONTEXT" ] && echo "$CONTEXT"; exit ;;
*"rollout status $STUCK "*) echo "kubectl $*" >>"$CALLS"; exit 1 ;;
esac
echo "kubectl $*" >>"$CALLS"
STUB
chmod +x "$scratch"/bin/*
CALLS=$scratch/calls
export CALLS

# up CONTEXT [STUCK] [LOAD]: runs it there; its exit code is $code, its calls are in $CALLS.
up() {
    : >"$CALLS"
    code=0
    (cd "$scratch" && PATH=$scratch/bin:/usr/bin:/bin CONTEXT=$1 STUCK=${2:-nothing} FLOTILLA_K8S_LOAD=${3:-} \
        sh scripts/k8s-up.sh) >"$scratch/out" 2>&1 || code=$?
}

# expect CODE TEXT...: how it ended, and what must be among its calls or words.
expect() {
    wanted=$1
    shift
    for text; do
        grep -q -e "$text" "$CALLS" "$scratch/out" || { echo "test-up: no \"$text\" in:" >&2; cat "$CALLS" "$scratch/out" >&2; exit 1; }
    done
    [ "$code" -eq "$wanted" ] || { echo "test-up: exit code $code, not $wanted" >&2; cat "$scratch/out" >&2; exit 1; }
}

# before FIRST SECOND: in which order they were called.
before() {
    [ "$(grep -n -m 1 -e "$1" "$CALLS" | cut -d : -f 1)" -lt "$(grep -n -m 1 -e "$2" "$CALLS" | cut -d : -f 1)" ] ||
        { echo "test-up: \"$1\" isn't before \"$2\"" >&2; exit 1; }
}

up kind-shop
expect 0 "kind load docker-image --name shop .*flotilla/gateway:0.1.0 .* flotilla/fleet:0.1.0" "images missing REGISTRY= TAG=0.1.0" \
    "apply --kustomize k8s/overlays/dev" "port-forward service/gateway"
before "images missing" "kind load"
before "kind load" "apply --kustomize"
before "apply --kustomize" "rollout status statefulset/postgres"
before "rollout status statefulset/postgres" "rollout status deployment/gateway"

up k3d-shop
expect 0 "k3d image import --cluster shop flotilla/gateway:0.1.0"

up minikube
expect 0 "minikube --profile minikube image load flotilla/orders:0.1.0"

up somewhere-else
expect 1 "is no kind, k3d or minikube cluster"
if grep -q apply "$CALLS"; then echo "test-up: applied to a cluster that it can't load images into" >&2; exit 1; fi

up somewhere-else nothing none
expect 0 "apply --kustomize k8s/overlays/dev"
if grep -q images "$CALLS"; then echo "test-up: built images that nobody loads" >&2; exit 1; fi

up ""
expect 1 "kubectl has no cluster"

up kind-shop deployment/orders
expect 1 "deployment/orders isn't ready in time" "get events --field-selector type=Warning"

rm "$scratch/bin/kind"
up kind-shop
expect 1 "there is no command kind"
echo "test-up: what it decides holds"
