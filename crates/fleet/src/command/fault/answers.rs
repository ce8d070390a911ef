//! How each fault is detected: alert, panel, trace and runbook.

use flotilla_fault::Fault;

/// How a fault is detected.
#[derive(Debug)]
pub struct Answer {
    /// The fault.
    pub fault: Fault,
    /// The service that shows it best.
    pub service: &'static str,
    /// The alert that must fire.
    pub alert: &'static str,
    /// The service that the alert names: the one that is affected.
    pub alerted: &'static str,
    /// The panel that shows it: the dashboard's uid and the panel's title.
    pub panel: (&'static str, &'static str),
    /// What traces show of it, if they do.
    pub trace: Option<&'static str>,
    /// The runbook.
    pub runbook: &'static str,
}

impl Answer {
    /// Panel and trace, as they are shown.
    pub(super) fn shown_by(&self) -> String {
        let (dashboard, title) = self.panel;
        let panel = format!("{}: {title}", dashboard.trim_start_matches("flotilla-"));
        self.trace.map_or_else(|| panel.clone(), |trace| format!("{panel}; {trace}"))
    }
}

/// The answer to each fault.
pub const ANSWERS: [Answer; 6] = [
    Answer {
        fault: Fault::SlowDatabase,
        service: "inventory",
        alert: "DatabaseSlow",
        alerted: "inventory",
        panel: ("flotilla-database", "Duration"),
        trace: Some("a statement SELECT pg_sleep"),
        runbook: "docs/runbooks/database-slow.md",
    },
    Answer {
        fault: Fault::BrokerStall,
        service: "orders",
        alert: "OutboxStalled",
        alerted: "orders",
        panel: ("flotilla-messaging", "Age of the oldest unpublished event"),
        trace: None,
        runbook: "docs/runbooks/outbox-stalled.md",
    },
    Answer {
        fault: Fault::StuckConsumer,
        service: "payments",
        alert: "ConsumerStuck",
        alerted: "payments",
        panel: ("flotilla-messaging", "Pending and unacked messages"),
        trace: None,
        runbook: "docs/runbooks/consumer-stuck.md",
    },
    Answer {
        fault: Fault::DeclinedPayments,
        service: "payments",
        alert: "PaymentDeclineStorm",
        alerted: "payments",
        panel: ("flotilla-saga", "Charges by outcome"),
        trace: Some("PaymentDeclined in the order's trace"),
        runbook: "docs/runbooks/payment-decline-storm.md",
    },
    Answer {
        fault: Fault::PoisonMessages,
        service: "inventory",
        alert: "PoisonMessages",
        alerted: "orders",
        panel: ("flotilla-messaging", "Parked messages"),
        trace: None,
        runbook: "docs/runbooks/poison-messages.md",
    },
    Answer {
        fault: Fault::LeakingPool,
        service: "notification",
        alert: "PoolExhausted",
        alerted: "notification",
        panel: ("flotilla-database", "Waiting callers"),
        trace: None,
        runbook: "docs/runbooks/pool-exhausted.md",
    },
];

/// The description of a fault.
#[must_use]
pub fn answer(fault: Fault) -> &'static Answer {
    let found = ANSWERS.iter().find(|answer| answer.fault == fault);
    found.expect("each fault has an answer, as a test checks")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::SERVICES;

    #[test]
    fn each_fault_has_an_answer_whose_runbook_names_fault_and_alert() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for fault in Fault::ALL {
            let answer = answer(fault);
            let page = std::fs::read_to_string(root.join(answer.runbook)).unwrap();
            assert!(page.contains(fault.name()) && page.contains(answer.alert), "{}", answer.runbook);
            assert!(SERVICES.contains(&answer.service));
        }
    }
}
