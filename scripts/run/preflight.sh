#!/bin/sh
# Looks before the first build: cargo's version, free disk, the limit of open files. Says what to do.
set -eu
fail() { echo "preflight: $1" >&2; exit 1; }

command -v cargo >/dev/null 2>&1 || fail "cargo is missing: install Rust (rustup or your system's package), then run make again"
wanted=$(sed -n 's/^rust-version = "\([0-9.]*\)"$/\1/p' Cargo.toml)
have=$(cargo --version | sed 's/^cargo \([0-9]*\.[0-9]*\).*/\1/')
older=$(printf '%s\n%s\n' "$have" "$wanted" | awk -F. '{ print $1 * 1000 + $2 }' | paste -s -d ' ' - | awk '{ print ($1 < $2) }')
[ "$older" = 0 ] || fail "cargo is $have, Flotilla needs $wanted: run rustup update stable"
command -v cc >/dev/null 2>&1 || fail "a C compiler (cc) is missing: install gcc or clang"

# A first build needs about 3 GB, later ones next to nothing.
if [ ! -x target/release/fleet ] && [ ! -x target/ci/fleet ]; then
    free_kb=$(df -Pk . | awk 'NR == 2 { print $4 }')
    [ "$free_kb" -gt 4000000 ] || fail "only $((free_kb / 1024)) MB are free here, the first build needs 4000 MB"
fi

hard=$(ulimit -H -n)
if [ "$hard" != unlimited ] && [ "$hard" -lt 1024 ]; then
    fail "at most $hard open files are allowed, the fleet needs 1024: raise the limit (ulimit -n, limits.conf)"
fi
