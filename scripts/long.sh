#!/bin/sh
# Checks that take longer: chaos with several seeds on one fleet, then a longer bench.
set -eu
FLOTILLA_HOME=$(pwd)/.flotilla/long
export FLOTILLA_HOME
FLOTILLA_SERVERS=$(pwd)/.flotilla
export FLOTILLA_SERVERS
mkdir -p "$FLOTILLA_HOME"
fleet="sh scripts/files-limit.sh target/release/fleet"
trap '$fleet down >/dev/null 2>&1 || true; $fleet reset >/dev/null 2>&1 || true' EXIT
$fleet up
for seed in 1 2 3 4 5; do $fleet chaos --seed "$seed"; done
$fleet load --baseline --seconds 30
$fleet down
