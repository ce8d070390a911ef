#!/bin/sh
# What scripts/run/k8s-up.sh decides, with programs in the place of kubectl, kind, k3d, minikube and Docker that only write down
# how they are called. It isn't a cluster: whether the fleet comes up there is for a cluster to show.
set -eu
root=$(cd "$(dirname "$0")/../../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# A repository with what k8s-up.sh reads, and stubs where it would build or get something.
mkdir -p "$scratch/bin" "$scratch/scripts/run/k8s" "$scratch/scripts/lib" "$scratch/scripts/release" "$scratch/k8s/overlays/dev" "$scratch/crates/one/tests" "$scratch/docs"
cp "$root/scripts/run/k8s-up.sh" "$scratch/scripts/run/"
cp "$root/scripts/run/k8s/development.sh" "$scratch/scripts/run/k8s/"
mkdir "$scratch/services"
cp "$root/services/services.txt" "$scratch/services/"
cp "$root"/k8s/overlays/dev/*.yaml "$scratch/k8s/overlays/dev/"
echo 'echo "images $* REGISTRY=$REGISTRY TAG=$TAG" >>"$CALLS"' >"$scratch/scripts/release/images.sh"
sed -n '/^sources() {/,/^}/p' "$root/scripts/lib/docker-engine.sh" >"$scratch/scripts/lib/docker-engine.sh"
sed -n '/^services=/p' "$root/scripts/lib/image-names.sh" >>"$scratch/scripts/lib/docker-engine.sh"
echo "tool() { echo '$scratch/bin/kubectl'; }" >>"$scratch/scripts/lib/docker-engine.sh"
for name in kind k3d minikube; do
    printf '#!/bin/sh\necho "%s $*" >>"$CALLS"\n' "$name" >"$scratch/bin/$name"
done
cat >"$scratch/bin/kubectl" <<'STUB'
#!/bin/sh
case "$*" in
*" get jobs "*jsonpath=*) printf 'inventory-migrate-0-1-0 \n%s\n' "${FAILED:+$FAILED True}"; exit ;;
*" get jobs --field-selector "*) echo "${FAILED:+job.batch/$FAILED}" ;;
"config current-context") [ -n "$CONTEXT" ] && echo "$CONTEXT"; exit ;;
*"rollout status $STUCK "*) echo "kubectl $*" >>"$CALLS"; exit 1 ;;
esac
echo "kubectl $*" >>"$CALLS"
STUB
chmod +x "$scratch"/bin/*
CALLS=$scratch/calls
export CALLS
printf '.flotilla\nbin\ncalls\nout\n' >"$scratch/.gitignore"
echo 'fn one() {}' >"$scratch/crates/one/lib.rs"
repository() { git -C "$scratch" -c user.name=nobody -c user.email=nobody@example.com -c commit.gpgsign=false "$@"; }
repository init --quiet
repository add --all
repository commit --quiet --no-verify --message "what there is"
tag=0.1.0-$(cd "$scratch" && . scripts/lib/docker-engine.sh && sources | cut -c 1-12)

# up CONTEXT [STUCK] [LOAD]: runs it there; its exit code is $code, its calls are in $CALLS.
up() {
    : >"$CALLS"
    code=0
    (cd "$scratch" && PATH=$scratch/bin:/usr/bin:/bin CONTEXT=$1 STUCK=${2:-nothing} FLOTILLA_K8S_LOAD=${3:-} \
        sh scripts/run/k8s-up.sh) >"$scratch/out" 2>&1 || code=$?
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
expect 0 "kind load docker-image --name shop localhost/flotilla/gateway:$tag .* localhost/flotilla/fleet:$tag$" \
    "images missing REGISTRY=localhost TAG=$tag$" "apply --kustomize .flotilla/k8s-up" "port-forward service/gateway" \
    "delete jobs --selector app.kubernetes.io/part-of=flotilla,app.kubernetes.io/version!=$tag"
grep -q -x "  tag: $tag" "$scratch/.flotilla/k8s-up/values.yaml"
before "images missing" "kind load"
before "kind load" "apply --kustomize"
before "apply --kustomize" "rollout status statefulset/postgres"
before "rollout status statefulset/postgres" "rollout status deployment/gateway"
before "rollout status deployment/gateway" "delete jobs"
[ -z "$(repository status --porcelain)" ] || { echo "test-up: it changes files of the repository" >&2; exit 1; }

# tag_of: the tag that the images get now, which the overlay must have too.
tag_of() {
    up kind-shop
    expect 0 "images missing"
    built=$(sed -n 's/^images missing .* TAG=//p' "$CALLS")
    grep -q -x "  tag: $built" "$scratch/.flotilla/k8s-up/values.yaml"
    echo "$built" | grep -q -x -E '[0-9]+\.[0-9]+\.[0-9]+-[a-z0-9-]+' || { echo "test-up: no tag of a Job: $built" >&2; exit 1; }
    echo "$built"
}
# changed WHAT: the code is other than before, so is the tag.
changed() {
    last=$now
    now=$(tag_of)
    [ "$now" != "$last" ] || { echo "test-up: $1, and the tag is still $now" >&2; exit 1; }
}
now=$tag
echo 'for people' >"$scratch/docs/page.md"
echo 'fn test() {}' >"$scratch/crates/one/tests/it.rs"
[ "$(tag_of)" = "$tag" ] || { echo "test-up: the tag changes with what no image has" >&2; exit 1; }
echo 'fn two() {}' >"$scratch/crates/one/lib.rs"
changed "a file has changed"
echo 'fn three() {}' >"$scratch/crates/one/lib.rs"
changed "a file has changed again"
echo 'fn more() {}' >"$scratch/crates/one/more.rs"
changed "a file is new"
echo 'fn less() {}' >"$scratch/crates/one/more.rs"
changed "a new file has changed"
rm "$scratch/crates/one/lib.rs"
changed "a file is gone"
repository add --all
repository commit --quiet --no-verify --message "what has changed"
tag=$now
[ "$(tag_of)" = "$tag" ] || { echo "test-up: a commit alone makes other images" >&2; exit 1; }

up k3d-shop
expect 0 "k3d image import --cluster shop localhost/flotilla/gateway:$tag"

up minikube
expect 0 "minikube --profile minikube image load localhost/flotilla/orders:$tag"

up somewhere-else
expect 1 "is not a kind, k3d or minikube cluster"
if grep -q apply "$CALLS"; then echo "test-up: applied to a cluster that it can't load images into" >&2; exit 1; fi

up somewhere-else nothing none
expect 0 "apply --kustomize k8s/overlays/dev"
if grep -q images "$CALLS"; then echo "test-up: built images that nobody loads" >&2; exit 1; fi

up ""
expect 1 "kubectl has no cluster"

up kind-shop deployment/orders
expect 1 "deployment/orders isn't ready in time" "get events --field-selector type=Warning"

# A Job that failed is made anew before the next try, and named where the try fails.
FAILED=orders-migrate-0-1-0
export FAILED
up kind-shop deployment/orders
expect 1 "delete job $FAILED" "job.batch/$FAILED has failed" "logs job.batch/$FAILED --tail 10"
before "delete job $FAILED" "apply --kustomize"
unset FAILED

rm "$scratch/bin/kind"
up kind-shop
expect 1 "there is no command kind"

# The overlay with another tag is that of k8s/overlays/dev but for the tag.
if [ -n "${KUBECTL:-}" ]; then
    cd "$root"
    . scripts/run/k8s/development.sh
    tag=0.1.0-0123456789ab
    development_overlay .flotilla/test-up "$tag"
    "$KUBECTL" kustomize .flotilla/test-up >"$scratch/development.yaml"
    "$KUBECTL" kustomize k8s/overlays/dev |
        sed "s/:0\.1\.0$/:$tag/; s/: 0\.1\.0$/: $tag/; s/-0-1-0$/-$(echo "$tag" | tr . -)/" | diff - "$scratch/development.yaml" >&2 ||
        { echo "test-up: the overlay with another tag differs in more than that" >&2; exit 1; }
    rm -r .flotilla/test-up
fi
echo "test-up: what it decides holds"
