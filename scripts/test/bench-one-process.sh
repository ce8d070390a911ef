#!/bin/sh
# What splitting costs: orders on six processes, on one, and on one with a single worker thread, each on a fleet of its own,
# the modes in turn and several rounds of them, so that a noisy machine is noisy for all of them alike.
#
# First at full load, then at RATE orders per second, where latencies can be compared.
# ROUNDS (3), SECONDS_EACH (8), RATE (1500) and MODES choose; the last table holds the medians.
set -eu
name=bench-one-process
. scripts/lib/own-fleet.sh
rounds=${ROUNDS:-3}
seconds=${SECONDS_EACH:-8}
rate=${RATE:-1500}
modes=${MODES:-six one one-thread}
results=$FLOTILLA_HOME/results
mkdir -p "$FLOTILLA_HOME"
: >"$results"

# measure MODE LOAD ARGUMENTS: one measurement on the running fleet, appended to the results.
measure() {
    mode=$1 load=$2
    shift 2
    $fleet load --only-orders --seconds "$seconds" "$@" >"$FLOTILLA_HOME/load.out"
    line=$(tail -n 1 "$FLOTILLA_HOME/load.out")
    case $line in *null*) echo "bench-one-process: nothing was settled: $line" >&2; exit 1 ;; esac
    echo "$mode:$load $line" | tr -d '{}"' | sed 's/[a-z_]*[0-9]*_*[a-z]*:\([0-9N]\)/\1/g; s/,/ /g' >>"$results"
    tail -n 1 "$results"
}

# run MODE: starts the fleet, measures and removes it.
run() {
    (
        unset FLOTILLA_ONE_PROCESS FLOTILLA_WORKER_THREADS
        case $1 in
            six) $fleet up >/dev/null ;;
            one) $fleet up --one-process >/dev/null ;;
            one-thread) FLOTILLA_WORKER_THREADS=1 $fleet up --one-process >/dev/null ;;
            *) echo "bench-one-process: no mode $1" >&2; exit 2 ;;
        esac
    )
    $fleet status
    measure "$1" full
    measure "$1" rate --rate "$rate"
    $fleet down >/dev/null
    $fleet reset --yes >/dev/null
}

for round in $(seq "$rounds"); do
    echo "bench-one-process: round $round of $rounds"
    for mode in $modes; do run "$mode"; done
done
awk -v modes="$modes" -v rate="$rate" '
    function median(list, count,   i, j, swap) {
        for (i = 1; i <= count; i++)
            for (j = i + 1; j <= count; j++)
                if (list[j] < list[i]) { swap = list[i]; list[i] = list[j]; list[j] = swap }
        return count % 2 ? list[(count + 1) / 2] : (list[count / 2] + list[count / 2 + 1]) / 2
    }
    function of(key, column,   i, list) {
        for (i = 1; i <= rows[key]; i++) list[i] = value[key, column, i]
        return median(list, rows[key])
    }
    { rows[$1]++; for (column = 2; column <= NF; column++) value[$1, column, rows[$1]] = $column }
    END {
        print "medians: at full load, and at " rate " orders/s"
        printf "%-11s %10s %14s %8s %8s %14s %8s %8s %11s\n", "mode", "settled/s", "services us", "all us", "MiB", "services us", "p50 ms", "p99 ms", "others %"
        for (i = 1; i <= split(modes, list_of_modes, " "); i++) {
            full = list_of_modes[i] ":full"; easy = list_of_modes[i] ":rate"
            printf "%-11s %10.0f %14.0f %8.0f %8.0f %14.0f %8.1f %8.1f %11.0f\n", list_of_modes[i], of(full, 2), of(full, 4), of(full, 3), of(full, 8), of(easy, 4), of(easy, 5), of(easy, 7), of(full, 6)
        }
    }' "$results"
