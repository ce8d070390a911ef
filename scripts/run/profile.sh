#!/bin/sh
# Profiles the running fleet at full load with perf, and writes a flame graph of each process to docs/bench: as root, on
# Linux. SECONDS_EACH (10) and RATE_HZ (199) choose how much is sampled;
# a sample copies 64 KiB of stack, because futures are nested deeply.
set -eu
command -v perf >/dev/null 2>&1 || { echo "SKIPPED profile: perf is missing (Debian: apt install linux-perf)" >&2; exit 0; }
fleet=${FLEET:-target/release/fleet}
seconds=${SECONDS_EACH:-10}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
$fleet load --only-orders --seconds $((seconds + 4)) >"$folder/load" 2>&1 &
load=$!
until grep -q '^measuring' "$folder/load"; do
    kill -0 "$load" 2>/dev/null || { cat "$folder/load" >&2; exit 1; }
    sleep 0.2
done
# Not the start of the measurement, in which connections and plans are made.
sleep 2
perf record --quiet --all-cpus --freq "${RATE_HZ:-199}" --call-graph dwarf,65528 --output "$folder/perf.data" -- sleep "$seconds"
services=$($fleet status --json | python3 -c '
import json, sys
for member in json.load(sys.stdin)["members"]:
    if member.get("pid"): print(member["name"], member["pid"])')
of() { echo "$services" | awk -v name="$1" '$1 == name { print $2 }'; }
workers() { pgrep --parent "$(of postgres)" | paste --serial --delimiters=, -; }
perf script --input "$folder/perf.data" --no-inline --fields comm,pid,ip,sym 2>/dev/null \
    | python3 scripts/run/bench/flames.py docs/bench \
        "postgres=$(of postgres),$(workers)" "orders=$(of orders)" "gateway=$(of gateway)" "inventory=$(of inventory)" \
        "payments=$(of payments)" "notification=$(of notification)" "nats=$(of nats)" "generator=$load"
wait "$load"
tail -n 1 "$folder/load"
