#!/bin/sh
# The images of the services and of the fleet command.
#   sh scripts/release/images.sh           build all of them, then the table of their sizes
#   sh scripts/release/images.sh missing   build them where one is missing or is of other sources than this tree's
#   sh scripts/release/images.sh sizes     the table
#   sh scripts/release/images.sh variants  orders upon scratch, and upon stand-ins for distroless and debian-slim: sizes, and whether it runs
#   sh scripts/release/images.sh dev       the image of compose/dev.yaml: compiler, cargo and bacon
# REGISTRY, TAG: their names. RUST_IMAGE, BASE: what they are built by and upon; where the published compiler's image can't
# be had, a stand-in is made on this machine (scripts/release/images/base.sh). Secrets of the build: FLOTILLA_BUILD_CA, a file of
# certificates to trust (SSL_CERT_FILE where that is set), and FLOTILLA_BUILD_CARGO, a configuration for cargo.
set -eu
cd "$(dirname "$0")/../.."
. scripts/lib/docker-engine.sh
what=${1:-build}
trap end_engine EXIT
trap 'exit 1' INT TERM
engine images

# The published image where it is here or can be pulled.
compiler() {
    if [ -n "${RUST_IMAGE:-}" ]; then return 0; fi
    RUST_IMAGE=rust:1.95-bookworm
    if have "$RUST_IMAGE"; then return 0; fi
    sh scripts/release/images/base.sh rust
    RUST_IMAGE=$standin_rust
}

# build NAME...
build() {
    compiler
    targets=$*
    set -- --build-arg "RUST_IMAGE=$RUST_IMAGE" --network "${FLOTILLA_BUILD_NETWORK:-host}" --build-arg "VERSION=$tag" \
        --build-arg "REVISION=$(git rev-parse HEAD)" --build-arg "CREATED=$(git log -1 --format=%cI)" \
        --label "flotilla.sources=$(sources)"
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

# row IMAGE: by what comes out of the engine, since its own figure is of unpacked layers in one store and of packed ones
# in another.
row() {
    container=$($docker create "$1")
    unpacked=$($docker export "$container" | wc -c)
    files=$($docker export "$container" | tar -t | grep -vc '/$')
    $docker rm "$container" >/dev/null
    compressed=$($docker save "$1" | gzip | wc -c)
    user=$($docker image inspect --format '{{.Config.User}}' "$1")
    echo "$1 $unpacked $compressed $files $user" |
        awk '{ printf "%-32s %12.1f %14.1f %8d  %s\n", $1, $2 / 1000000, $3 / 1000000, $4, $5 }'
}

heading() { printf '%-32s %12s %14s %8s  %s\n' image 'unpacked, MB' 'compressed, MB' files user; }

sizes() {
    heading
    for name in $services fleet; do
        row "$(image_of "$name")"
    done
}

# Whether all are here and of this tree's sources. Names that were given (REGISTRY, TAG) mean those images, whatever
# they are of.
are_current() {
    wanted=$(sources)
    for name in $services fleet; do
        image=$(image_of "$name")
        found=$($docker image inspect --format '{{index .Config.Labels "flotilla.sources"}}' "$image" 2>/dev/null) ||
            { echo "images: $image is missing"; return 1; }
        if [ "$found" = "$wanted" ]; then continue; fi
        if [ -z "${REGISTRY:-}${TAG:-}" ]; then echo "images: $image is of other sources"; return 1; fi
        echo "images: $image is of other sources than this tree, and taken because it was named"
    done
}

case $what in
build) build $services fleet; sizes ;;
sizes) sizes ;;
variants)
    sh scripts/release/images/base.sh distroless
    plain=$tag
    heading
    for variant in scratch=scratch "distroless=$standin_distroless" "debian=$standin_debian"; do
        tag=$plain-${variant%%=*}
        BASE=${variant#*=}
        build orders >/dev/null
        $docker run --rm --read-only --cap-drop ALL "$(image_of orders)" settings >/dev/null
        row "$(image_of orders)"
    done
    ;;
dev) build dev; $docker tag "$(image_of dev)" flotilla/dev ;;
missing) are_current || build $services fleet ;;
*) echo "usage: sh scripts/release/images.sh [build|missing|sizes|variants|dev]" >&2; exit 2 ;;
esac
