#!/bin/sh
# The arrows of the house: `domain/` imports no I/O, no crate but fleet knows a service, no service knows another.
# `--self-test` plants a violation of each kind and sees it found.
set -eu
root=${LAYERING_ROOT:-.}
services="gateway identity inventory orders payments notification"
outside='tonic|tokio|tokio_postgres|tokio_util|futures|async_nats|fred|hyper|axum|flotilla_(postgres|messaging|rpc|service|cache|telemetry|config)|std::(net|fs|process|thread|env)'
bad=0
complain() { echo "layering: $1" >&2; bad=1; }

check() {
    for file in $(find "$root"/services/*/src/domain -name '*.rs' 2>/dev/null); do
        found=$(grep -n -E "(use|extern crate)[[:space:]]+($outside)(::|;|[[:space:]])|[^a-z_]($outside)::" "$file" | head -n 3 || true)
        [ -z "$found" ] || complain "$file reaches outside: $found"
    done
    for manifest in "$root"/crates/*/Cargo.toml; do
        case $manifest in */crates/fleet/Cargo.toml) continue ;; esac
        for service in $services; do
            if grep -q -E "^flotilla-$service([. =]|$)" "$manifest"; then complain "$manifest knows the service $service"; fi
        done
    done
    for service in $services; do
        manifest=$root/services/$service/Cargo.toml
        for other in $services; do
            [ "$other" = "$service" ] && continue
            if grep -q -E "^flotilla-$other([. =]|$)" "$manifest"; then complain "$manifest knows the service $other"; fi
        done
        if grep -q -E "^flotilla-fleet([. =]|$)" "$manifest"; then complain "$manifest knows the fleet"; fi
    done
}

self_test() {
    room=$(mktemp -d)
    trap 'rm -rf "$room"' EXIT
    for case in "services/orders/src/domain/x.rs|use tokio::time;" "crates/cache/Cargo.toml|flotilla-orders.workspace = true" "services/orders/Cargo.toml|flotilla-payments.workspace = true"; do
        rm -rf "${room:?}"/*
        mkdir -p "$room/services" "$room/crates"
        for service in $services; do mkdir -p "$room/services/$service/src/domain"; : >"$room/services/$service/Cargo.toml"; done
        mkdir -p "$room/crates/cache"; : >"$room/crates/cache/Cargo.toml"
        LAYERING_ROOT=$room sh "$0" --quiet || { echo "layering: the self-test finds fault with an empty house" >&2; exit 1; }
        echo "${case#*|}" >"$room/${case%%|*}"
        if LAYERING_ROOT=$room sh "$0" --quiet 2>/dev/null; then echo "layering: the self-test's violation in ${case%%|*} was not found" >&2; exit 1; fi
    done
}

[ "${1:-}" = --quiet ] || self_test
check
[ "$bad" = 0 ] || exit 1
[ "${1:-}" = --quiet ] || echo "layering: the arrows point inward"
