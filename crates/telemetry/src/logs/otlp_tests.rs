use super::*;
use opentelemetry::Key;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::LogBatch;
use prometheus::Registry;
use std::sync::Mutex;
use tracing_subscriber::prelude::*;

/// Keeps the records as text; blocks while the gate is locked.
#[derive(Clone, Debug, Default)]
struct Kept {
    records: Arc<Mutex<Vec<String>>>,
    gate: Arc<Mutex<()>>,
    fails: bool,
    /// The service that the present resource names.
    service: String,
}

impl LogExporter for Kept {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        drop(self.gate.lock().unwrap());
        self.records.lock().unwrap().extend(batch.iter().map(|(record, _)| format!("{} {record:?}", self.service)));
        if self.fails { Err(opentelemetry_sdk::error::OTelSdkError::InternalFailure("no".to_owned())) } else { Ok(()) }
    }

    fn set_resource(&mut self, resource: &Resource) {
        let name = resource.get(&Key::from_static_str("service.name"));
        self.service = name.map(|name| name.to_string()).unwrap_or_default();
    }
}

fn export(kept: &Kept, queue: usize) -> (LogExport, ExportMetrics) {
    let metrics = ExportMetrics::register(&Registry::new()).unwrap();
    (LogExport::over(kept.clone(), Resource::builder_empty().build(), Vec::new(), queue, &metrics), metrics)
}

#[test]
fn records_are_scrubbed_and_carry_their_fields() {
    let kept = Kept::default();
    let (export, _) = export(&kept, 64);
    crate::subscribed::under(tracing_subscriber::registry().with(export.layer()), || {
        let card = 4_111_111_111_111_111_u64;
        tracing::warn!(order_id = 7, card, password = "any words", to = %"ann@example.com", "sent to {}", "bob@x.example");
        tracing::error!(target: "h2::codec", "about the export itself");
    });
    export.stop(Duration::from_secs(5));
    let records = kept.records.lock().unwrap().join("\n");
    for part in ["Warn", "order_id", "Int(7)", "[card]", "[secret]", "[email]", "sent to [email]"] {
        assert!(records.contains(part), "{part} isn't in {records}");
    }
    for secret in ["4111111111111111", "any words", "ann@", "bob@", "itself"] {
        assert!(!records.contains(secret), "{secret} is in {records}");
    }
}

#[test]
fn records_beyond_the_queue_are_dropped_and_counted_without_a_wait() {
    let kept = Kept { fails: true, ..Kept::default() };
    let (export, metrics) = export(&kept, 8);
    let gate = kept.gate.lock().unwrap();
    crate::subscribed::under(tracing_subscriber::registry().with(export.layer()), || {
        for number in 0..100 {
            tracing::info!(number, "one of many");
        }
    });
    assert_eq!(metrics.dropped.with_label_values(&["logs"]).get(), 92);
    drop(gate);
    export.stop(Duration::from_secs(5));
    assert_eq!(kept.records.lock().unwrap().len(), 8);
    assert!(metrics.failures.with_label_values(&["logs"]).get() >= 1);
}

#[test]
fn records_of_each_service_are_sent_with_its_resource() {
    let kept = Kept::default();
    let resource = |name: &'static str| Resource::builder_empty().with_service_name(name).build();
    let services = ["orders", "payments"].map(|name| (name, resource(name))).into();
    let metrics = ExportMetrics::register(&Registry::new()).unwrap();
    let export = LogExport::over(kept.clone(), resource("flotilla"), services, 64, &metrics);
    crate::subscribed::under(tracing_subscriber::registry().with(export.layer()), || {
        for service in ["payments", "orders", "payments"] {
            ServiceScope::of(service).run(|| tracing::info!("from {service}"));
        }
        tracing::info!("from nobody");
    });
    export.stop(Duration::from_secs(5));
    let records = kept.records.lock().unwrap();
    let sent = |service: &str, text: &str| {
        records.iter().filter(|record| record.starts_with(service) && record.contains(text)).count()
    };
    assert_eq!(records.len(), 4, "{records:?}");
    assert_eq!((sent("orders", "from orders"), sent("payments", "from payments")), (1, 2), "{records:?}");
    assert_eq!(sent("flotilla", "from nobody"), 1, "{records:?}");
}
