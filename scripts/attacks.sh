#!/bin/sh
# Attacks a fleet of the tests' own, one after the other, and prints what honest clients felt. Arguments are names of
# tests: none runs all. The long form wants a machine that does nothing else.
set -eu
sh scripts/files-limit.sh "${CARGO:-cargo}" test --locked --package flotilla-fleet --test attacks -- --nocapture --test-threads=1 "$@"
echo "attacks: honest calls went on"
