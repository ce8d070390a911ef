#!/bin/sh
# The images of the services and of the fleet command.
#   sh scripts/images.sh           build all of them, then the table of their sizes
#   sh scripts/images.sh missing   build those that this machine lacks
#   sh scripts/images.sh sizes     the table
#   sh scripts/images.sh variants  orders upon scratch, and upon stand-ins for distroless and debian-slim: sizes, and whether it runs
#   sh scripts/images.sh dev       the image of compose/dev.yaml: compiler, cargo and bacon
# REGISTRY, TAG: their names. RUST_IMAGE, BASE: what they are built by and upon; where the published compiler's image can't
# be had, a stand-in is made on this machine (scripts/images/base.sh). Secrets of the build: FLOTILLA_BUILD_CA, a file of
# certificates to trust (SSL_CERT_FILE where that is set), and FLOTILLA_BUILD_CARGO, a configuration for cargo.
set -eu
cd "$(dirname "$0")/.."
. scripts/docker-engine.sh
what=${1:-build}
trap end_engine EXIT
trap 'exit 1' INT TERM
engine images

# The published image where it is here or can be pulled within a minute.
compiler() {
    if [ -n "${RUST_IMAGE:-}" ]; then return 0; fi
    RUST_IMAGE=rust:1.95-bookworm
    if $docker image inspect "$RUST_IMAGE" >/dev/null 2>&1 || timeout 60 $docker pull --quiet "$RUST_IMAGE" >/dev/null 2>&1; then return 0; fi
    sh scripts/images/base.sh rust
    RUST_IMAGE=$standin_rust
}

# build NAME...
build() {
    compiler
    targets=$*
    set -- --build-arg "RUST_IMAGE=$RUST_IMAGE" --network "${FLOTILLA_BUILD_NETWORK:-host}" --build-arg "VERSION=$tag" \
        --build-arg "REVISION=$(git rev-parse HEAD)" --build-arg "CREATED=$(git log -1 --format=%cI)"
    if [ -n "${BASE:-}" ]; then set -- "$@" --build-arg "BASE=$BASE"; fi
    ca=${FLOTILLA_BUILD_CA:-${SSL_CERT_FILE:-}}
    if [ -n "$ca" ]; then set -- "$@" --secret "id=ca,src=$ca"; fi
    if [ -n "${FLOTILLA_BUILD_CARGO:-}" ]; then set -- "$@" --secret "id=cargo,src=$FLOTILLA_BUILD_CARGO"; fi
    began=$(date +%s)
    for name in $targets; do
        $docker build "$@" --target "$name" --tag "$(image_of "$name")" .
    done
    echo "built in $(($(date +%s) - began)) s"
}

# row IMAGE
row() {
    container=$($docker create "$1")
    files=$($docker export "$container" | tar -t | grep -vc '/$')
    $docker rm "$container" >/dev/null
    $docker image inspect --format '{{.Size}} {{.Config.User}}' "$1" |
        awk -v image="$1" -v files="$files" '{ printf "%-32s %10.1f %8d  %s\n", image, $1 / 1000000, files, $2 }'
}

sizes() {
    printf '%-32s %10s %8s  %s\n' image 'size, MB' files user
    for name in $services fleet; do
        row "$(image_of "$name")"
    done
}

case $what in
build) build $services fleet; sizes ;;
sizes) sizes ;;
variants)
    sh scripts/images/base.sh distroless
    plain=$tag
    for variant in scratch=scratch "distroless=$standin_distroless" "debian=$standin_debian"; do
        tag=$plain-${variant%%=*}
        BASE=${variant#*=}
        build orders >/dev/null
        $docker run --rm --read-only --cap-drop ALL "$(image_of orders)" settings >/dev/null
        row "$(image_of orders)"
    done
    ;;
dev) build dev; $docker tag "$(image_of dev)" flotilla/dev ;;
missing)
    for name in $services fleet; do
        if ! $docker image inspect "$(image_of "$name")" >/dev/null 2>&1; then build $services fleet; break; fi
    done
    ;;
*) echo "usage: sh scripts/images.sh [build|missing|sizes|variants|dev]" >&2; exit 2 ;;
esac
