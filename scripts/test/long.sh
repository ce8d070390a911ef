#!/bin/sh
# Checks that take longer: chaos with several seeds on one fleet, then a longer bench.
set -eu
name=long
. scripts/lib/own-fleet.sh
$fleet up
for seed in 1 2 3 4 5; do $fleet chaos --seed "$seed"; done
for seed in 6 7; do $fleet chaos --only-losses --seed "$seed"; done
$fleet load --baseline --seconds 30
$fleet down
