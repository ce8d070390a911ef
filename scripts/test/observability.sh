#!/bin/sh
# Metrics for real: rules and their tests by promtool, dashboards, queries, and a fleet of its own that Prometheus and
# VictoriaMetrics scrape while a demo runs. With `traces` also what takes longer: the Collector, tail sampling, one
# order's trace in Zipkin and Jaeger, logs.
set -eu
. scripts/lib/tool.sh
. scripts/run/prometheus.sh
what=${1:-metrics}
command -v python3 >/dev/null 2>&1 || skip "test-$what" "python3 is missing"
for program in prometheus promtool prometheus-alertmanager amtool victoria-metrics; do
    observability_tool "$program" >/dev/null || skip "test-$what" "$program can't be had: neither from Debian's packages nor installed"
done
name=observability
. scripts/lib/own-fleet.sh
checks=scripts/test/observability
export PYTHONDONTWRITEBYTECODE=1

if [ "$what" = metrics ]; then
    promtool=$(observability_tool promtool)
    "$promtool" check rules observability/prometheus/rules/*.yaml
    "$promtool" check config observability/prometheus/prometheus.yaml
    "$promtool" test rules observability/prometheus/tests/*.yaml
    "$(observability_tool amtool)" check-config observability/alertmanager/alertmanager.yaml
    python3 $checks/test_promql.py
    python3 $checks/dashboards.py --check
    sh scripts/check/compose.sh
fi
if [ "$what" = traces ]; then
    sh scripts/run/collector.sh || true
    collector=$(observability_tool collector otelcol-contrib) || skip test-observability "the Collector can't be built"
    "$collector" validate --config=observability/collector/collector.yaml --config=observability/collector/compose.yaml
    # Loki takes longest to build: its configuration is checked where somebody did (sh scripts/run/collector.sh loki).
    if loki=$(observability_tool loki); then
        "$loki" -config.file=observability/loki/loki.yaml -config.expand-env=true -verify-config 2>/dev/null
    fi
    # Decided soon, so that the test is short; a share that shows that not everything is kept.
    export DECISION_WAIT=2s TRACE_SHARE_PERCENT=20
    # Every call of orders is a log line, within its trace.
    export FLOTILLA_ORDERS__TELEMETRY__FILTER=info,flotilla_rpc=debug
fi

# Without a Collector spans go nowhere; being sampled they still give the histograms their exemplars.
if ! observability_tool collector otelcol-contrib >/dev/null; then
    export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9
fi
$fleet up --observability
python3 $checks/live.py "$what" "$FLOTILLA_HOME" "$(observability_tool victoria-metrics)" -- $fleet
$fleet down
python3 $checks/live.py gone "$FLOTILLA_HOME"
