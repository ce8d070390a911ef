"""What the dashboards show: each dashboard is a list of rows, each row a title and its panels.

A panel is `graph`, `stat` or `table` with a title, a unit and its queries, each with a legend. `%s` in a query is the
rate's interval, chosen by Grafana.
"""

RATE = "$__rate_interval"


def panel(kind, title, unit, *queries, text="", exemplars=False, steps=None):
    """One panel; `steps` are the values from which it turns orange and red."""
    filled = [(query.replace("%s", RATE), legend) for query, legend in queries]
    return {"kind": kind, "title": title, "unit": unit, "queries": filled, "text": text, "exemplars": exemplars, "steps": steps}


def graph(title, unit, *queries, **more):
    """A panel with time on its x axis."""
    return panel("timeseries", title, unit, *queries, **more)


def stat(title, unit, *queries, **more):
    """A panel with the newest value in large letters."""
    return panel("stat", title, unit, *queries, **more)


def table(title, unit, *queries, **more):
    """A panel with one line for each series."""
    return panel("table", title, unit, *queries, **more)


def quantiles(metric, by, selector="", wanted=(0.5, 0.99)):
    """Queries for quantiles of a histogram, by labels."""
    labels = ", ".join([*by, "le"])
    names = " ".join("{{%s}}" % label for label in by)
    return [
        (f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket{selector}[%s])))", f"p{share * 100:g} {names}".strip())
        for share in wanted
    ]


RED = [
    ("Gateway", [
        stat("Requests", "reqps", ("sum(rate(flotilla_gateway_requests_total[%s]))", "")),
        stat("In flight", "short", ("sum(flotilla_gateway_in_flight)", "")),
        stat("Connections", "short", ("sum(flotilla_gateway_connections)", "")),
        stat("Services up", "short", ("sum(up)", ""), text="Of seven targets: six services and Prometheus itself."),
        graph("Requests by route", "reqps", ("sum by (route) (rate(flotilla_gateway_requests_total[%s]))", "{{route}}")),
        graph("Responses by status", "reqps", ("sum by (protocol, status) (rate(flotilla_gateway_requests_total[%s]))", "{{protocol}} {{status}}")),
        graph("Duration by route", "s", *quantiles("flotilla_gateway_request_seconds", ["route"]), exemplars=True,
              text="The points are exemplars: each links to its trace."),
        graph("Refused requests", "reqps",
              ("sum by (limit) (rate(flotilla_gateway_shed_total[%s]))", "load: {{limit}}"),
              ("sum by (limit) (rate(flotilla_gateway_limited_total[%s]))", "caller's share: {{limit}}"),
              ("sum by (reason) (rate(flotilla_gateway_refused_connections_total[%s]))", "connections: {{reason}}")),
        graph("Memory of connections, requests and responses", "bytes",
              ("flotilla_gateway_memory_held_bytes", "held {{instance}}"),
              ("flotilla_gateway_memory_budget_bytes", "budget {{instance}}")),
    ]),
    ("gRPC by service", [
        graph("Calls", "reqps", ('sum by (job) (rate(flotilla_rpc_requests_total{job=~"$job"}[%s]))', "{{job}}")),
        graph("Errors", "percentunit", ('flotilla:rpc_errors:ratio_rate5m{job=~"$job"}', "{{job}}"),
              text="Share of calls that the fleet failed to serve, over five minutes."),
        graph("Duration by method", "s", *quantiles("flotilla_rpc_request_duration_seconds", ["job", "method"], '{job=~"$job"}', (0.99,)), exemplars=True),
        graph("In flight", "short", ('sum by (job) (flotilla_rpc_in_flight{job=~"$job"})', "{{job}}")),
        graph("Responses by code", "reqps", ('sum by (job, code) (rate(flotilla_rpc_requests_total{job=~"$job",code!="OK"}[%s]))', "{{job}} {{code}}")),
        graph("Refused calls", "reqps",
              ('sum by (job) (rate(flotilla_rpc_shed_total{job=~"$job"}[%s]))', "{{job}} because of load"),
              ('sum by (job) (rate(flotilla_rpc_rate_limited_total{job=~"$job"}[%s]))', "{{job}} by the caller's rate")),
    ]),
    ("Calls to other services", [
        graph("Duration seen by the caller", "s", *quantiles("flotilla_rpc_client_request_duration_seconds", ["job", "service"], wanted=(0.99,))),
        graph("Retries", "reqps", ("sum by (job, service) (rate(flotilla_rpc_client_retries_total[%s]))", "{{job}} to {{service}}")),
        graph("Refused by an open circuit breaker", "reqps", ("sum by (job) (rate(flotilla_rpc_client_broken_total[%s]))", "{{job}}")),
    ]),
    ("Processes", [
        graph("CPU", "short", ('rate(process_cpu_seconds_total{job=~"$job"}[%s])', "{{job}}")),
        graph("Resident memory", "bytes", ('process_resident_memory_bytes{job=~"$job"}', "{{job}}")),
        graph("Timer lateness", "s", *quantiles("flotilla_runtime_delay_seconds", ["job"], '{job=~"$job"}', (0.99,)),
              text="High if something blocks the event loop."),
        table("Builds", "short", ("flotilla_build_info", "")),
        graph("Lost telemetry", "short",
              ("sum by (job, signal) (rate(flotilla_telemetry_dropped_total[%s]))", "{{job}} {{signal}} dropped"),
              ("sum by (job) (rate(flotilla_log_lines_dropped_total[%s]))", "{{job}} log lines")),
        graph("Configuration", "short", ("flotilla_config_version", "{{job}} version"),
              ('sum by (job) (increase(flotilla_config_reloads_total{result="refused"}[1h]))', "{{job}} refused in an hour")),
    ]),
]

SAGA = [
    ("Orders", [
        stat("Accepted", "reqps", ('sum(rate(flotilla_orders_placed_total{outcome="accepted"}[%s]))', "")),
        stat("Confirmed", "percentunit", ('sum(rate(flotilla_orders_ended_total{state="confirmed"}[%s])) / sum(rate(flotilla_orders_ended_total[%s]))', "")),
        stat("Stuck sagas", "short", ("sum(flotilla_sagas_stuck)", ""), steps=(1, 1)),
        stat("In progress", "short", ('sum(flotilla_orders_placed_total{outcome="accepted"}) - sum(flotilla_orders_ended_total)', ""),
             text="Accepted but not ended, since the services started."),
        graph("Requests by outcome", "reqps", ("sum by (outcome) (rate(flotilla_orders_placed_total[%s]))", "{{outcome}}")),
        graph("Orders by final state", "reqps", ("sum by (state) (rate(flotilla_orders_ended_total[%s]))", "{{state}}")),
        graph("Time to settle", "s", *quantiles("flotilla_order_settle_seconds", ["state"]), exemplars=True,
              text="The points are exemplars: each links to one order's trace."),
        graph("Time per step", "s", *quantiles("flotilla_saga_step_seconds", ["step"], wanted=(0.99,))),
    ]),
    ("Failures", [
        graph("Re-sent steps", "reqps",
              ("sum(rate(flotilla_saga_resends_total[%s]))", "forward"),
              ("sum(rate(flotilla_saga_compensation_resends_total[%s]))", "compensation"),
              ("sum(rate(flotilla_saga_given_up_total[%s]))", "given up")),
        graph("Charges by outcome", "reqps", ('sum by (outcome) (rate(flotilla_payments_decisions_total{kind="charge"}[%s]))', "{{outcome}}")),
        graph("Stock commands", "reqps", ("sum by (verdict) (rate(flotilla_stock_verdicts_total[%s]))", "{{verdict}}")),
        graph("Out of stock", "reqps", ("sum(rate(flotilla_stock_outs_total[%s]))", "reservations refused")),
    ]),
    ("Business", [
        graph("Revenue", "short", ("sum by (currency) (rate(flotilla_revenue_minor_units_total[%s])) * 60 / 100", "{{currency}} per minute"),
              text="Total of confirmed orders, in units of a currency with two decimals."),
        graph("Notifications", "reqps", ("sum by (kind) (rate(flotilla_deliveries_total[%s]))", "{{kind}}")),
        graph("Flag evaluations", "reqps", ("sum by (flag, variant) (rate(flotilla_flag_evaluations_total[%s]))", "{{flag}} {{variant}}")),
    ]),
]

MESSAGING = [
    ("Outbox and relay", [
        graph("Age of the oldest unpublished event", "s", ("max by (service) (flotilla_outbox_age_seconds)", "{{service}}"), steps=(5, 10)),
        graph("Unpublished events", "short", ("max by (service) (flotilla_outbox_pending)", "{{service}}")),
        graph("Published events", "eps", ("sum by (service) (rate(flotilla_relay_published_total[%s]))", "{{service}}")),
        graph("Events per frame", "short",
              ("sum by (service) (rate(flotilla_relay_published_total[%s])) / (sum by (service) (rate(flotilla_relay_frames_total[%s])) > 0)", "{{service}}")),
        graph("Time until a batch is acked", "s", *quantiles("flotilla_relay_publish_seconds", ["service"], wanted=(0.99,))),
        graph("Relays with a lease", "short", ("sum by (service) (flotilla_relay_leader)", "{{service}}"), text="One per service."),
    ]),
    ("Consumers", [
        graph("Events by outcome", "eps", ("sum by (consumer, outcome) (rate(flotilla_consumer_events_total[%s]))", "{{consumer}} {{outcome}}")),
        graph("Pending and unacked messages", "short", ("max by (consumer) (flotilla_consumer_pending)", "{{consumer}}")),
        graph("Consumer lag", "s", *quantiles("flotilla_consumer_lag_seconds", ["consumer"], wanted=(0.99,))),
        graph("Events per transaction", "short", *quantiles("flotilla_consumer_batch_events", ["consumer"], wanted=(0.5,))),
        graph("Redeliveries and retries", "eps",
              ("sum by (consumer) (rate(flotilla_consumer_redeliveries_total[%s]))", "{{consumer}} redelivered"),
              ("sum by (consumer) (rate(flotilla_consumer_retries_total[%s]))", "{{consumer}} retried")),
    ]),
    ("Messages that could not be applied", [
        graph("Parked messages", "short", ("sum by (service, state) (flotilla_parked_messages)", "{{service}} {{state}}")),
        graph("Dead letters", "short", ("sum by (service, consumer) (increase(flotilla_dead_letters_total[1h]))", "{{consumer}} in an hour")),
        graph("Refilled streams", "short", ("sum by (service) (increase(flotilla_stream_rebuilds_total[1h]))", "{{service}} in an hour")),
        graph("Streams that refuse messages", "short",
              ("max by (service) (flotilla_stream_refuses_messages)", "{{service}}"),
              ("sum by (service) (increase(flotilla_stream_resets_total[1h]))", "{{service}} recreated in an hour"),
              ("max by (service) (flotilla_stream_reset_blocked)", "{{service}} can't be recreated")),
        graph("Messages lost by consumers", "short", ("max by (service, consumer) (flotilla_consumer_lost_frames)", "{{consumer}}")),
    ]),
]

DATABASE = [
    ("Transactions", [
        graph("Duration", "s", *quantiles("flotilla_postgres_transaction_seconds", ["job", "pool"], '{job=~"$job"}')),
        graph("Transactions by end", "ops", ('sum by (job, end) (rate(flotilla_postgres_transaction_seconds_count{job=~"$job"}[%s]))', "{{job}} {{end}}")),
        graph("Time in transactions", "short", ('sum by (job) (rate(flotilla_postgres_transaction_seconds_sum{job=~"$job"}[%s]))', "{{job}}"),
              text="Seconds per second: the average number of busy connections."),
    ]),
    ("Pools", [
        graph("Open and used connections", "short",
              ('sum by (job, pool) (flotilla_postgres_pool_connections{job=~"$job"})', "{{job}} {{pool}} open"),
              ('sum by (job, pool) (flotilla_postgres_pool_connections{job=~"$job"} - flotilla_postgres_pool_available)', "{{job}} {{pool}} used"),
              ('sum by (job, pool) (flotilla_postgres_pool_limit{job=~"$job"})', "{{job}} {{pool}} limit")),
        graph("Waiting callers", "short", ('sum by (job, pool) (flotilla_postgres_pool_waiting{job=~"$job"})', "{{job}} {{pool}}"), steps=(1, 10)),
        graph("Wait for a connection", "s", *quantiles("flotilla_postgres_acquire_seconds", ["job", "pool"], '{job=~"$job"}', (0.99,))),
        graph("Waits by outcome", "ops", ('sum by (job, outcome) (rate(flotilla_postgres_acquire_seconds_count{job=~"$job"}[%s]))', "{{job}} {{outcome}}")),
    ]),
]

CACHE = [
    ("Cache", [
        stat("Connected", "short", ("min(flotilla_cache_up)", ""), text="1 if the cache is connected."),
        stat("Hits", "percentunit", ('sum(rate(flotilla_cache_requests_total{outcome="hit"}[%s])) / sum(rate(flotilla_cache_requests_total[%s]))', "")),
        graph("Reads", "reqps", ("sum by (cache, outcome) (rate(flotilla_cache_requests_total[%s]))", "{{cache}} {{outcome}}")),
        graph("Writes", "reqps", ("sum by (cache, outcome) (rate(flotilla_cache_writes_total[%s]))", "{{cache}} {{outcome}}")),
        graph("Hit ratio", "percentunit",
              ('sum by (cache) (rate(flotilla_cache_requests_total{outcome="hit"}[%s])) / (sum by (cache) (rate(flotilla_cache_requests_total[%s])) > 0)', "{{cache}}")),
    ]),
    ("Levels", [
        graph("Hits by source", "reqps", ("sum by (cache, source) (rate(flotilla_cache_hits_total[%s]))", "{{cache}} {{source}}")),
        graph("Loads", "reqps", ("sum by (cache, outcome) (rate(flotilla_cache_loads_total[%s]))", "{{cache}} {{outcome}}")),
        graph("Load time", "s", *quantiles("flotilla_cache_load_seconds", ["cache"])),
        graph("Memory", "bytes", ("sum by (cache) (flotilla_cache_memory_bytes)", "{{cache}}")),
        graph("Evictions, stale entries served, flushes", "ops",
              ("sum by (cache) (rate(flotilla_cache_evictions_total[%s]))", "{{cache}} evictions"),
              ("sum by (cache) (rate(flotilla_cache_stale_served_total[%s]))", "{{cache}} stale"),
              ("sum by (cache) (rate(flotilla_cache_flushes_total[%s]))", "{{cache}} flushes")),
        graph("Invalidations", "ops", ("sum by (cache, origin) (rate(flotilla_cache_invalidations_total[%s]))", "{{cache}} {{origin}}")),
    ]),
]

SLO = [
    ("Remaining error budget (30 days)", [
        stat("Availability", "percentunit", ('flotilla:slo_error_budget_remaining:ratio{sli="availability"}', "")),
        stat("Accept latency", "percentunit", ('flotilla:slo_error_budget_remaining:ratio{sli="accept_latency"}', "")),
        stat("Settle latency", "percentunit", ('flotilla:slo_error_budget_remaining:ratio{sli="settle_latency"}', "")),
        graph("Remaining budget", "percentunit", ("flotilla:slo_error_budget_remaining:ratio", "{{sli}}")),
    ]),
    ("Burn rate", [
        graph("Burn rate over an hour", "short", ("flotilla:sli_error_ratio:rate1h / on (sli) flotilla:slo_error_budget:ratio", "{{sli}}"),
              steps=(1, 14.4), text="1: exactly as fast as it recovers. From 14.4 somebody is paged."),
        graph("Burn rate over six hours", "short", ("flotilla:sli_error_ratio:rate6h / on (sli) flotilla:slo_error_budget:ratio", "{{sli}}"), steps=(1, 6)),
        graph("Burn rate over three days", "short", ("flotilla:sli_error_ratio:rate3d / on (sli) flotilla:slo_error_budget:ratio", "{{sli}}"), steps=(1, 3)),
        graph("Share of bad events over five minutes", "percentunit", ("flotilla:sli_error_ratio:rate5m", "{{sli}}")),
        graph("Events", "eps", ("sum by (sli, result) (rate(flotilla_sli_events_total[%s]))", "{{sli}} {{result}}")),
    ]),
    ("Objectives and alerts", [
        table("Objectives", "percentunit", ("max by (sli) (flotilla_slo_objective_ratio)", "{{sli}}")),
        table("Thresholds", "s", ("max by (sli) (flotilla_slo_threshold_seconds)", "{{sli}}")),
        table("Alerts", "short", ('ALERTS{alertstate="firing"}', "")),
    ]),
]

DASHBOARDS = {
    "red": ("RED: requests, errors, duration", RED),
    "saga": ("Orders and sagas", SAGA),
    "messaging": ("Messaging", MESSAGING),
    "database": ("Database", DATABASE),
    "cache": ("Cache", CACHE),
    "slo": ("Service level objectives", SLO),
}
