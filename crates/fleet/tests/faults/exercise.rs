//! One fault, from silence to silence.

use std::{collections::BTreeSet, fs, time::Duration};

use flotilla_fault::Fault;
use flotilla_fleet::command::fault::{ANSWERS, Answer, answer};
use flotilla_testkit::otlp::ReceivedSpan;
use tokio::time::{Instant, sleep};

use crate::{
    fleet::{Fleet, workspace},
    panels,
    prometheus::{Alert, Prometheus, Sample},
};

/// Until an alert fires or clears. On a busy machine ten times what it takes.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(200);
/// Longer than any exercise: a fault that ended by itself would be switched off by nobody.
const LASTS: &str = "10m";

/// What to switch on, and what must be seen.
pub struct Exercise {
    pub fault: Fault,
    /// Further arguments of `fleet fault on`.
    pub strength: &'static [&'static str],
    /// Alerts that may fire beside its own, and of which services.
    pub companions: &'static [(&'static str, &'static str)],
    /// Whether a series of its panel shows it.
    pub symptom: fn(&Sample) -> bool,
    /// Whether a span shows it, where spans do.
    pub span: Option<fn(&ReceivedSpan) -> bool>,
}

impl Exercise {
    /// Switches the fault on, sees that it is answered, switches it off, sees that it clears.
    pub async fn run(&self, fleet: &Fleet, prometheus: &Prometheus) {
        let answer = answer(self.fault);
        let began = Instant::now();
        // A machine that is busy with something else may be slow by itself for a moment: silence is waited for.
        self.until_clear(prometheus).await;
        self.assert_unseen(fleet, prometheus, answer).await;

        let name = self.fault.name();
        let mut command = vec!["fault", "on", name, "--service", answer.service, "--for", LASTS];
        command.extend(self.strength);
        let said = fleet.done(&command).await;
        assert!(said.contains(answer.alert) && said.contains(answer.runbook), "{said}");

        let alert = self.until_fires(prometheus, answer).await;
        assert_eq!(alert.labels.get("job").map(String::as_str), Some(answer.alerted), "{alert:?}");
        assert_runbook(&alert, answer);
        self.until_panel_shows(prometheus, answer).await;
        if let Some(shows) = self.span {
            fleet.spans.wait_until(|spans| spans.iter().any(shows)).await;
        }
        assert_listed(fleet, prometheus, answer).await;

        fleet.done(&["fault", "off", name]).await;
        if self.fault == Fault::PoisonMessages {
            fleet.done(&["fault", "heal"]).await;
        }
        let fired = began.elapsed();
        self.until_clear(prometheus).await;
        eprintln!("{name}: answered after {fired:.0?}, clear after {:.0?}", began.elapsed());
    }

    async fn assert_unseen(&self, fleet: &Fleet, prometheus: &Prometheus, answer: &Answer) {
        let shown = self.panel(prometheus, answer).await;
        assert!(!shown.iter().any(self.symptom), "before {} its panel shows {shown:#?}", self.fault);
        if let Some(shows) = self.span {
            let shown = fleet.spans.spans().into_iter().find(shows);
            assert!(shown.is_none(), "before {} there is {shown:#?}", self.fault);
        }
    }

    /// Waits for its own alert; meanwhile and by then nothing else fires but companions.
    async fn until_fires(&self, prometheus: &Prometheus, answer: &Answer) -> Alert {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let firing = firing(prometheus).await;
            self.assert_companions(&firing, answer);
            if let Some(own) = firing.into_iter().find(|alert| alert.name() == answer.alert) {
                return own;
            }
            assert!(Instant::now() < deadline, "{} doesn't fire: {:#?}", answer.alert, prometheus.alerts().await);
            sleep(PAUSE).await;
        }
    }

    fn assert_companions(&self, firing: &[Alert], answer: &Answer) {
        for alert in firing {
            let job = alert.labels.get("job").map_or("", String::as_str);
            let is_own = alert.name() == answer.alert && job == answer.alerted;
            let may_fire = is_own || self.companions.contains(&(alert.name(), job));
            assert!(may_fire, "{} makes another alert fire: {alert:#?}", self.fault);
        }
    }

    async fn until_panel_shows(&self, prometheus: &Prometheus, answer: &Answer) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let shown = self.panel(prometheus, answer).await;
            if shown.iter().any(self.symptom) {
                return;
            }
            assert!(Instant::now() < deadline, "{:?} doesn't show {}: {shown:#?}", answer.panel, self.fault);
            sleep(PAUSE).await;
        }
    }

    async fn panel(&self, prometheus: &Prometheus, answer: &Answer) -> Vec<Sample> {
        let (dashboard, title) = answer.panel;
        let mut samples = Vec::new();
        for query in panels::queries(dashboard, title) {
            samples.extend(prometheus.query(&query).await);
        }
        samples
    }

    async fn until_clear(&self, prometheus: &Prometheus) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let firing = firing(prometheus).await;
            if firing.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "around {} these don't clear: {firing:#?}", self.fault);
            sleep(PAUSE).await;
        }
    }
}

/// The alerts on faults that fire.
async fn firing(prometheus: &Prometheus) -> Vec<Alert> {
    let ours: BTreeSet<_> = ANSWERS.iter().map(|answer| answer.alert).collect();
    let mut alerts = prometheus.alerts().await;
    alerts.retain(|alert| alert.fires() && ours.contains(alert.name()));
    alerts
}

/// The page that the alert names is there, and tells of the fault.
fn assert_runbook(alert: &Alert, answer: &Answer) {
    assert_eq!(alert.annotations["runbook_url"], answer.runbook);
    let page = fs::read_to_string(workspace().join(answer.runbook)).unwrap();
    assert!(
        page.contains(answer.fault.name()) && page.contains(answer.alert),
        "{} is about something else",
        answer.runbook
    );
}

/// `fleet fault list` and the metric say where it is on.
async fn assert_listed(fleet: &Fleet, prometheus: &Prometheus, answer: &Answer) {
    let list = fleet.done(&["fault", "list"]).await;
    let line = list.lines().find(|line| line.starts_with(answer.fault.name())).unwrap();
    assert!(line.contains(&format!("{} for", answer.service)), "{list}");
    let query = format!("flotilla_fault_active{{fault=\"{}\"}} == 1", answer.fault);
    let on = prometheus.query(&query).await;
    assert!(on.len() == 1 && on[0].is("job", answer.service), "{on:#?}");
}
