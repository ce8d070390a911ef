#!/bin/sh
# Switches each fault on in a fleet of its own, under load, and sees the alert fire in a real Prometheus, the panel and
# the spans show it, the runbook name it, the alert clear, and every invariant hold.
set -eu
. scripts/lib/tool.sh
. scripts/run/prometheus.sh
FLOTILLA_TEST_PROMETHEUS=$(observability_tool prometheus) || skip faults "prometheus is not installed, and there is no Debian package of it"
export FLOTILLA_TEST_PROMETHEUS
sh scripts/lib/files-limit.sh "${CARGO:-cargo}" test --profile ci --workspace --locked --test faults -- --nocapture
echo "faults: each one was answered"
