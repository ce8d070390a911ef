#!/bin/sh
# Inside the build: the linker and Rust's libraries for TARGETARCH, where the builder's platform is another one.
set -eu
. /usr/local/bin/cargo.sh
if [ -n "$(command -v "$linker")" ] && [ -d "$(rustc --print target-libdir --target "$triple")" ]; then exit 0; fi
if [ -s /run/secrets/ca ]; then export SSL_CERT_FILE=/run/secrets/ca; fi
apt-get update
apt-get install --yes --no-install-recommends "gcc-$(echo "$cpu" | tr _ -)-linux-gnu" "libc6-dev-$TARGETARCH-cross"
rm -rf /var/lib/apt/lists/*
if [ -d "$(rustc --print target-libdir --target "$triple")" ]; then exit 0; fi
command -v rustup >/dev/null || { echo "toolchain.sh: no libraries for $triple in the compiler's image, and no rustup to get them" >&2; exit 1; }
rustup target add "$triple"
