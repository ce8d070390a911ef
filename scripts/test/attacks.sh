#!/bin/sh
# Runs attacks on a fleet of the tests' own, one at a time, and prints their effect on honest clients. Arguments are names
# of tests; without arguments all run. The long form needs an otherwise idle machine.
set -eu
sh scripts/lib/files-limit.sh "${CARGO:-cargo}" test --profile ci --workspace --locked --test attacks -- --nocapture --test-threads=1 "$@"
echo "attacks: honest calls went on"
