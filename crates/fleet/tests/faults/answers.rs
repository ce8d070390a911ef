//! All six, one after the other, on one fleet under load.

use flotilla_fault::Fault;
use flotilla_testkit::otlp::ReceivedSpan;

use crate::{
    exercise::Exercise,
    fleet::{Fleet, Load},
    prometheus::Prometheus,
};

const EXERCISES: [Exercise; 6] = [
    Exercise {
        fault: Fault::SlowDatabase,
        strength: &["--delay", "800ms"],
        companions: &[],
        symptom: |series| series.is("job", "inventory") && series.value() > 0.5,
        span: Some(sleeps_in_the_database),
    },
    Exercise {
        fault: Fault::BrokerStall,
        strength: &[],
        companions: &[],
        symptom: |series| series.is("service", "orders") && series.value() > 10.0,
        span: None,
    },
    Exercise {
        fault: Fault::StuckConsumer,
        strength: &[],
        companions: &[],
        symptom: |series| series.is("consumer", "payments-orders") && series.value() > 20.0,
        span: None,
    },
    Exercise {
        fault: Fault::DeclinedPayments,
        strength: &["--share", "80"],
        companions: &[],
        symptom: |series| series.is("outcome", "declined") && series.value() > 1.0,
        span: Some(tells_of_a_decline),
    },
    Exercise {
        fault: Fault::LeakingPool,
        strength: &[],
        // Its consumers have no connection either.
        companions: &[("ConsumerStuck", "notification")],
        symptom: |series| series.is("job", "notification") && series.value() > 0.0,
        span: None,
    },
    Exercise {
        fault: Fault::PoisonMessages,
        strength: &["--share", "5"],
        companions: &[],
        symptom: |series| series.value() > 0.0,
        span: None,
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_is_answered_by_its_alert_its_panel_and_its_runbook_and_nothing_is_lost() {
    let fleet = Fleet::up().await;
    let prometheus = Prometheus::start(fleet.home.root(), &fleet.state()).await;
    let load = Load::start(&fleet).await;
    // Silence counts only once there is something to be heard.
    prometheus.until_above("sum(flotilla_orders_ended_total)", 50.0).await;
    for exercise in &EXERCISES {
        exercise.run(&fleet, &prometheus).await;
    }
    let placed = load.stop().await;
    assert!(placed > 100, "only {placed} orders were placed");
    fleet.done(&["fault", "heal"]).await;
    fleet.assert_sound().await;
}

/// The statement that waits, as it was sent, for as long as it waited.
fn sleeps_in_the_database(span: &ReceivedSpan) -> bool {
    let long = span.end.saturating_sub(span.start).as_millis() >= 700;
    long && span.service == "inventory" && span.attributes.values().any(|value| value.contains("pg_sleep"))
}

/// The answer of payments as orders hears of it.
fn tells_of_a_decline(span: &ReceivedSpan) -> bool {
    span.service == "orders" && span.name.contains("PaymentDeclined")
}
