#!/bin/sh
# What a log line costs with `tracing`, `slog` and `log`, and what scrubbing adds: a table for docs/logging.md. The crates
# that are compared are no dependencies of the fleet, so the bench is a package of its own.
set -eu
cd bench/logging
cargo build --release --locked --quiet --target-dir ../../target/bench-logging
exec ../../target/bench-logging/release/bench-logging
