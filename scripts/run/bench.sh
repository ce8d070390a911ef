#!/bin/sh
# Measures the running fleet beside bare PostgreSQL and Envoy, and writes docs/bench and the README's figures. Further
# arguments are those of `fleet load`.
set -eu
figures=.flotilla/bench.json
rm -f "$figures"
status=0
"${FLEET:-target/release/fleet}" load --baseline --json "$figures" --envoy "$(sh scripts/run/envoy.sh)" "$@" || status=$?
if [ ! -f "$figures" ]; then
    echo "bench: nothing was measured, so docs/bench stays as it was" >&2
elif command -v python3 >/dev/null 2>&1; then
    python3 scripts/run/bench/report.py "$figures"
else
    echo "SKIPPED docs/bench: python3 is missing; the figures are in $figures" >&2
fi
exit "$status"
