#!/bin/sh
# What a fleet loses as it grows (growth.py), on fleets of its own with their own Prometheus. Usage: sh scripts/test/growth.sh [--short]
set -eu
. scripts/lib/tool.sh
. scripts/run/prometheus.sh
command -v python3 >/dev/null 2>&1 || skip bench-growth "python3 is missing"
observability_tool prometheus >/dev/null || skip bench-growth "prometheus can't be had: neither from Debian's packages nor installed"
# Spans would go to the Collector, which isn't what is measured.
export OTEL_TRACES_SAMPLER=always_off
PYTHONDONTWRITEBYTECODE=1 exec python3 scripts/test/growth.py "$@"
