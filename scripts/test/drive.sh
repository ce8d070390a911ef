#!/bin/sh
# What a user does, on a fleet of its own: up (twice), demo, replay, replay under fire, bench with its limits, down.
set -eu
name=drive
. scripts/lib/own-fleet.sh
files="--products data/products.csv --customers data/customers.csv --orders data/orders.csv"

$fleet up
$fleet up | head -n 1 | grep "is up already" || { echo "drive: a second up is not a no-op" >&2; exit 1; }
$fleet status
$fleet demo --seed 7
$fleet replay $files
$fleet replay $files --chaos --seed 11
# An unoptimised build places fewer orders a second, so that fewer of them share a transaction than at a release build's
# full load, for which the limits are made.
$fleet load --baseline --seconds 6 --check-limits --max-syncs 0.3 --max-row-writes 18 --max-wal-records 47 --max-wal-bytes 9000 \
    --envoy "$(sh scripts/run/envoy.sh)"
$fleet down
echo "drive: the fleet did what a user asks of it"
