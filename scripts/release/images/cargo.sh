#!/bin/sh
# Inside the build: cargo for the platform of the image, TARGETARCH. Sourced, it only sets the variables.
#   cargo.sh build          compiles
#   cargo.sh install DIR    compiles, and puts the binaries into DIR
set -eu
case ${TARGETARCH:-} in
amd64) cpu=x86_64 ;;
arm64) cpu=aarch64 ;;
*) echo "cargo.sh: no image is made for TARGETARCH=${TARGETARCH:-}" >&2; exit 1 ;;
esac
triple=$cpu-unknown-linux-gnu
linker=$cpu-linux-gnu-gcc
case ${0##*/} in cargo.sh) ;; *) return 0 ;; esac

variable=$(echo "$triple" | tr 'a-z-' 'A-Z_')
export "CARGO_TARGET_${variable}_LINKER=$linker" "CC_$(echo "$triple" | tr - _)=$linker"
# Static: the binary brings its own C library. Given for the target alone, so that build scripts stay ordinary programs.
flags="-C target-feature=+crt-static"
# Relative relocations in their short form, a twenty-fifth of the size; the cross linker for arm64 doesn't know it.
if [ "$cpu" = x86_64 ]; then flags="$flags -C link-arg=-Wl,-z,pack-relative-relocs"; fi
export "CARGO_TARGET_${variable}_RUSTFLAGS=$flags"
# Kernels for arm64 have pages of 4, 16 or 64 KiB; an allocator built for the largest works on all.
if [ "$cpu" = aarch64 ]; then export JEMALLOC_SYS_WITH_LG_PAGE=16; fi
if [ -s /run/secrets/ca ]; then export CARGO_HTTP_CAINFO=/run/secrets/ca; fi

packages=$(grep -o '^[a-z][a-z]*' services/services.txt)
cargo build --locked --profile dist --target "$triple" --bin fleet $(for name in $packages; do echo "--bin flotilla-$name"; done) \
    -p flotilla-fleet $(for name in $packages; do echo "-p flotilla-$name"; done)
case $1 in
install)
    mkdir -p "$2"
    for name in fleet $(for name in $packages; do echo "flotilla-$name"; done); do cp "target/$triple/dist/$name" "$2/"; done
    ;;
build)
    # The empty sources leave nothing behind that could be taken for the real ones.
    rm -rf "target/$triple/dist/.fingerprint"/flotilla-* target/dist/.fingerprint/flotilla-*
    ;;
esac
