//! Signals to a real process: this test binary runs itself as the service.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use axum::routing::get;
use flotilla_config::{Live, Problems, Setting, Validate};
use flotilla_service::remote::RemoteSettings;
use flotilla_service::{Chassis, Common, Running, Service, ServiceSettings};
use flotilla_telemetry::{Telemetry, TelemetrySettings};
use serde::Deserialize;

/// Set in the process that is the service.
const CHILD: &str = "FLOTILLA_TEST_CHILD";

struct Toy;

#[derive(Clone, Deserialize, Setting)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    service: ServiceSettings,
    #[serde(default)]
    telemetry: TelemetrySettings,
    #[serde(default)]
    remote: RemoteSettings,
    /// Whether the task outlives its shutdown.
    #[serde(default)]
    stubborn: bool,
    /// What the admin port greets with.
    #[serde(default)]
    greeting: Live<String>,
}

impl Validate for Settings {
    fn validate(&self, problems: &mut Problems) {
        problems.section("service", &self.service);
        problems.require(self.greeting.read(|text| text.len() < 20), "greeting", "must be shorter");
    }
}

impl Service for Toy {
    const NAME: &'static str = "toy";
    type Settings = Settings;

    fn common(settings: &Settings) -> Common<'_> {
        Common { service: &settings.service, telemetry: &settings.telemetry, remote: &settings.remote, postgres: None }
    }

    async fn build(settings: Settings, telemetry: &Telemetry) -> anyhow::Result<Running> {
        let mut chassis = Chassis::new(Self::NAME, &settings.service, telemetry.registry());
        let shutdown = chassis.shutdown();
        chassis.spawn("task", async move {
            shutdown.cancelled().await;
            if settings.stubborn {
                std::future::pending::<()>().await;
            }
        });
        let greeting = settings.greeting.clone();
        chassis.mount(axum::Router::new().route("/greeting", get(move || async move { greeting.get() })));
        let rules = flotilla_rpc::AccessRules::new();
        let server = flotilla_rpc::Server::new(&Default::default(), None, rules, telemetry.registry());
        chassis.start(server, "127.0.0.1:0".parse()?).await
    }
}

/// Not a test but the service; does nothing unless the tests below start it.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn child() {
    if std::env::var_os(CHILD).is_some() {
        let code = flotilla_service::run::<Toy>(std::iter::empty()).await;
        // An exit code can't be compared in another way.
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
    }
}

/// Starts the service and waits until it serves.
pub fn start(settings: &[(&str, &str)]) -> (Child, SocketAddr) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "signals::child", "--nocapture"])
        .env(CHILD, "1")
        .env("FLOTILLA__TELEMETRY__FORMAT", "json")
        .env("RUST_LOG", "info")
        .envs(settings.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = |line: String| line.split_once(r#""admin":""#)?.1.split_once('"')?.0.parse().ok();
    let admin = lines.by_ref().map(Result::unwrap).find_map(address).expect("the service serves");
    // Read on, so that the service never waits for its logs to be read.
    std::thread::spawn(move || lines.for_each(drop));
    (child, admin)
}

pub fn signal(child: &Child, name: &str) {
    let done = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(done.success());
}

/// Whether the process ends well, within ten seconds.
pub fn ends_well(mut child: Child) -> bool {
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end {
        if let Some(status) = child.try_wait().unwrap() {
            return status.success();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    panic!("the service did not end");
}

#[test]
fn a_signal_drains_the_service_and_it_exits_well() {
    for name in ["TERM", "INT"] {
        let (child, _) = start(&[]);
        signal(&child, name);
        assert!(ends_well(child), "after {name}");
    }
}

#[test]
fn a_second_signal_ends_it_at_once_with_an_error() {
    let (child, _) = start(&[("FLOTILLA__STUBBORN", "true"), ("FLOTILLA__SERVICE__GRACE", "1h")]);
    signal(&child, "TERM");
    // The second one must find the drain begun; two at once may be delivered as one.
    std::thread::sleep(Duration::from_millis(300));
    signal(&child, "TERM");
    assert!(!ends_well(child));
}
