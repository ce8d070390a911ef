#!/bin/sh
# The fleet's job done the plain way, one message and one transaction at a time (bench/plain), on the servers of the running
# fleet: orders settled a second, for comparison with `make bench`. Usage: sh scripts/test/bench-plain.sh [SECONDS]
set -eu
[ -r .flotilla/env ] || {
    echo "bench-plain: no running fleet; run \`make up\` first" >&2
    exit 1
}
# shellcheck source=/dev/null
. ./.flotilla/env
cd bench/plain
cargo build --release --locked --quiet --target-dir ../../target/bench-plain
exec ../../target/bench-plain/release/bench-plain "${1:-10}"
