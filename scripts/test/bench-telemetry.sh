#!/bin/sh
# What telemetry costs: orders at full load with more and more of it switched on, each on a fleet of its own, the
# modes in turn and several rounds of them, so that a noisy machine is noisy for all of them alike.
#
# ROUNDS (3), SECONDS (8) and MODES choose; the last table holds the medians.
set -eu
name=telemetry
. scripts/lib/own-fleet.sh
rounds=${ROUNDS:-3}
seconds=${SECONDS_EACH:-8}
modes=${MODES:-off logs metrics 1% 10% 100% full-10% no-collector}
results=$FLOTILLA_HOME/results
mkdir -p "$FLOTILLA_HOME"
: >"$results"

receiver_log=$FLOTILLA_HOME/otlp-receiver.log
${FLEET:-target/release/fleet} otlp-receiver >"$receiver_log" &
receiver=$!
trap 'kill $receiver 2>/dev/null || true; $fleet down >/dev/null 2>&1 || true; $fleet reset --yes >/dev/null 2>&1 || true' EXIT
until [ -s "$receiver_log" ]; do kill -0 $receiver; sleep 0.1; done
collector=$(cat "$receiver_log")

# run MODE: one measurement, appended to the results.
run() {
    logs=off ratio= endpoint= scrape=
    case $1 in
        off) ;;
        logs) logs=info ;;
        metrics) scrape=--scrape ;;
        1%) ratio=0.01 endpoint=$collector ;;
        10%) ratio=0.1 endpoint=$collector ;;
        100%) ratio=1 endpoint=$collector ;;
        full-10%) logs=info scrape=--scrape ratio=0.1 endpoint=$collector ;;
        no-collector) ratio=0.1 endpoint=http://127.0.0.1:9 ;;
        *) echo "bench-telemetry: no mode $1" >&2; exit 2 ;;
    esac
    (
        export RUST_LOG=$logs FLOTILLA__TELEMETRY__FORMAT=json
        unset OTEL_EXPORTER_OTLP_ENDPOINT OTEL_TRACES_SAMPLER OTEL_TRACES_SAMPLER_ARG
        if [ -n "$endpoint" ]; then
            export OTEL_EXPORTER_OTLP_ENDPOINT="$endpoint" OTEL_TRACES_SAMPLER=parentbased_traceidratio OTEL_TRACES_SAMPLER_ARG=$ratio
        fi
        $fleet up >/dev/null
    )
    line=$($fleet load --only-orders --seconds "$seconds" $scrape | tail -n 1)
    $fleet down >/dev/null
    $fleet reset --yes >/dev/null
    echo "$1 $line" | tr -d '{}"' | sed 's/[a-z_]*[0-9]*_*[a-z]*://g; s/,/ /g' >>"$results"
    tail -n 1 "$results"
}

for round in $(seq "$rounds"); do for mode in $modes; do run "$mode"; done; done

echo "medians of $rounds rounds of $seconds s; beside \"off\" of the same run"
awk -v modes="$modes" '
    function median(list, count,   i, j, swap) {
        for (i = 2; i <= count; i++)
            for (j = i; j > 1 && list[j - 1] > list[j]; j--) { swap = list[j]; list[j] = list[j - 1]; list[j - 1] = swap }
        return count % 2 ? list[(count + 1) / 2] : (list[count / 2] + list[count / 2 + 1]) / 2
    }
    function of(mode, column,   i, list) {
        for (i = 1; i <= rows[mode]; i++) list[i] = value[mode, column, i]
        return median(list, rows[mode])
    }
    { rows[$1]++; for (column = 2; column <= NF; column++) value[$1, column, rows[$1]] = $column }
    END {
        printf "%-14s %10s %8s %12s %8s %14s %8s\n", "mode", "settled/s", "ratio", "CPU us/order", "ratio", "of services us", "p50 ms"
        for (i = 1; i <= split(modes, list_of_modes, " "); i++) {
            mode = list_of_modes[i]
            if (i == 1) { base = of(mode, 2); cpu = of(mode, 3) }
            printf "%-14s %10.0f %8.3f %12.0f %8.3f %14.0f %8.0f\n", mode, of(mode, 2), of(mode, 2) / base, of(mode, 3), of(mode, 3) / cpu, of(mode, 4), of(mode, 5)
        }
    }' "$results"
