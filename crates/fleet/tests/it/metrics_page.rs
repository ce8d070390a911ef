//! The list of all metrics, made from what the six services tell: `docs/metrics.md` for people and
//! `observability/metrics.json` for the checks of rules and dashboards.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use flotilla_proto::orders::v1::OrderState;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::{
    fleet::{Fleet, fleet},
    grammar,
    http::send,
};

/// Where the table begins on the page.
const MARK: &str = "<!-- The table is generated: UPDATE_DOCS=1 cargo test -p flotilla-fleet --test it metrics_page -->";

/// Longer than any gauge takes to update.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);

/// What a quiet day doesn't show: series that begin with the event they count, or that a setting brings.
const RARE: &[&str] = &[
    "flotilla_config_reloads_total",
    "flotilla_fault_active",
    "flotilla_flag_evaluations_total",
    "flotilla_rpc_client_in_flight",
    "flotilla_rpc_client_request_duration_seconds",
    "flotilla_rpc_client_requests_total",
    "flotilla_rpc_client_retries_total",
    "flotilla_rpc_requests_total",
    "flotilla_secret_refreshes_total",
    "flotilla_telemetry_dropped_total",
    "flotilla_telemetry_export_failures_total",
];

/// A metric.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
struct Metric {
    name: String,
    r#type: String,
    labels: BTreeSet<String>,
    services: BTreeSet<String>,
    help: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// One of everything that is worth a counter: orders that are confirmed and not, by gRPC and by REST.
async fn a_days_work(fleet: &Fleet) {
    let (rich, poor) = (fleet.customer(10_000).await, fleet.customer(1).await);
    let product = fleet.product(2_500, 10).await;
    let confirmed = rich.place_order(vec![(product.clone(), 1)], "day-1").await.unwrap();
    fleet.until_state(&rich, &confirmed.name, OrderState::Confirmed).await;
    let declined = poor.place_order(vec![(product.clone(), 1)], "day-2").await.unwrap();
    fleet.until_state(&poor, &declined.name, OrderState::Rejected).await;
    let gone = rich.place_order(vec![(product, 99)], "day-3").await.unwrap();
    fleet.until_state(&rich, &gone.name, OrderState::Rejected).await;
    let gateway = fleet.state.member("gateway").unwrap().address.clone();
    let token = rich.authorization();
    assert_eq!(send(&gateway, "GET", "/v1/orders", token.to_str().ok(), &[], b"").await.status, 200);
}

/// What a service tells in OpenMetrics, which must be that.
async fn told(fleet: &Fleet, service: &str) -> BTreeMap<String, grammar::Family> {
    let address = fleet.state.admin(service).unwrap();
    let accept = ("accept", "application/openmetrics-text;version=1.0.0");
    let answer = send(address, "GET", "/metrics", None, &[accept], b"").await;
    assert!(answer.head.contains("application/openmetrics-text"), "{service}: {}", answer.head);
    grammar::read(&answer.body)
}

async fn found(fleet: &Fleet) -> BTreeMap<String, Metric> {
    let mut all: BTreeMap<String, Metric> = BTreeMap::new();
    for service in flotilla_fleet::SERVICES {
        for (family, told) in told(fleet, service).await {
            let name = if told.kind == "counter" { format!("{family}_total") } else { family };
            assert!(name.starts_with("flotilla_") || name.starts_with("process_"), "{name}");
            assert!(!told.help.is_empty(), "{name} says what it is");
            let labels = told.samples.iter().flat_map(|sample| sample.labels.keys().cloned());
            let labels: BTreeSet<String> = labels.filter(|label| label != "le").collect();
            let metric = all.entry(name.clone()).or_insert_with(|| Metric {
                name: name.clone(),
                r#type: told.kind.clone(),
                labels: BTreeSet::new(),
                services: BTreeSet::new(),
                help: told.help.clone(),
            });
            assert_eq!((&metric.r#type, &metric.help), (&told.kind, &told.help), "{name} is one thing everywhere");
            metric.labels.extend(labels);
            metric.services.insert(service.to_owned());
        }
    }
    all
}

/// The metrics found once they match the list, apart from rare ones; gauges update every few seconds. If they never
/// match, the metrics found last.
async fn found_like(fleet: &Fleet, listed: &BTreeMap<String, Metric>) -> BTreeMap<String, Metric> {
    let until = Instant::now() + PATIENCE;
    loop {
        let found = found(fleet).await;
        let alike =
            |(name, metric): (&String, &Metric)| RARE.contains(&name.as_str()) || found.get(name) == Some(metric);
        if listed.iter().all(alike) || Instant::now() >= until {
            return found;
        }
        sleep(PAUSE).await;
    }
}

fn listed() -> BTreeMap<String, Metric> {
    let text = fs::read_to_string(root().join("observability/metrics.json")).unwrap();
    let list: Vec<Metric> = serde_json::from_str(&text).unwrap();
    list.into_iter().map(|metric| (metric.name.clone(), metric)).collect()
}

/// One metric a line, so that a change of one is a change of one line.
fn list(metrics: &BTreeMap<String, Metric>) -> String {
    let lines: Vec<String> =
        metrics.values().map(|metric| format!("  {}", serde_json::to_string(metric).unwrap())).collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}

fn table(metrics: &BTreeMap<String, Metric>) -> String {
    let mut text = String::from("| metric | type | labels | services | description |\n|---|---|---|---|---|\n");
    let join = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
    for Metric { name, r#type, labels, services, help } in metrics.values() {
        let services = if services.len() == 6 { "all".to_owned() } else { join(services) };
        let labels = join(labels);
        text.push_str(&format!("| `{name}` | {type} | {labels} | {services} | {help} |\n"));
    }
    text
}

#[tokio::test]
async fn the_list_of_metrics_is_what_the_services_export() {
    let fleet = fleet().await;
    a_days_work(&fleet).await;
    let listed = listed();
    let mut found = found_like(&fleet, &listed).await;
    for name in RARE {
        let Some(rare) = listed.get(*name) else { continue };
        let metric = found.entry(rare.name.clone()).or_insert_with(|| rare.clone());
        metric.services.extend(rare.services.iter().cloned());
        metric.labels.extend(rare.labels.iter().cloned());
    }
    let page = root().join("docs/metrics.md");
    let text = fs::read_to_string(&page).unwrap();
    let (above, below) = text.split_once(MARK).expect("the page has its mark");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&page, format!("{above}{MARK}\n\n{}", table(&found))).unwrap();
        fs::write(root().join("observability/metrics.json"), list(&found)).unwrap();
        return;
    }
    for (name, metric) in &found {
        assert_eq!(listed.get(name), Some(metric), "the list isn't what the services tell: run with UPDATE_DOCS=1");
    }
    let gone: Vec<_> = listed.keys().filter(|name| !found.contains_key(*name)).collect();
    assert!(gone.is_empty(), "no service tells {gone:?} any more: run with UPDATE_DOCS=1");
    assert_eq!(below.trim(), table(&found).trim(), "docs/metrics.md isn't up to date: run with UPDATE_DOCS=1");
}
