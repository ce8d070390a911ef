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

use crate::toy::until;

/// Set in the process that is the service.
const CHILD: &str = "FLOTILLA_TEST_CHILD";

/// What the command says that waits for ever.
const WAITS: &str = "waits for ever";

struct Toy;

#[derive(Clone, Setting)]
struct Settings {
    #[setting(default)]
    service: ServiceSettings,
    #[setting(default)]
    telemetry: TelemetrySettings,
    #[setting(default)]
    remote: RemoteSettings,
    /// Whether the task outlives its shutdown.
    #[setting(default)]
    stubborn: bool,
    /// What the admin port greets with.
    #[setting(default)]
    greeting: Live<String>,
}

impl Validate for Settings {
    fn validate(&self, problems: &mut Problems) {
        problems.require(self.greeting.read(|text| text.len() < 20), "greeting", "must be shorter");
    }
}

impl Service for Toy {
    const NAME: &'static str = "toy";
    type Settings = Settings;

    fn common(settings: &Settings) -> Common<'_> {
        Common {
            service: &settings.service,
            telemetry: &settings.telemetry,
            remote: &settings.remote,
            postgres: None,
            grpc: None,
            client: None,
        }
    }

    async fn await_migrations(_: &Settings) -> anyhow::Result<()> {
        eprintln!("{WAITS}");
        std::future::pending().await
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

/// Not a test but the service; does nothing unless the tests below start it, with its command.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn child() {
    if let Ok(command) = std::env::var(CHILD) {
        let code = flotilla_service::run::<Toy>(std::iter::once(command)).await;
        // An exit code can't be compared in another way.
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
    }
}

fn process(command: &str) -> Command {
    let mut process = Command::new(std::env::current_exe().unwrap());
    process
        .args(["--exact", "signals::child", "--nocapture"])
        .env(CHILD, command)
        .env("FLOTILLA__TELEMETRY__FORMAT", "json")
        .env("RUST_LOG", "info");
    process
}

/// Starts the service and waits until it serves.
pub fn start(settings: &[(&str, &str)]) -> (Child, SocketAddr) {
    let mut process = process("serve");
    process.envs(settings.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = process.spawn().unwrap();
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

/// Whether the process exits successfully.
pub fn ends_well(mut child: Child) -> bool {
    let end = Instant::now() + Duration::from_secs(120);
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
fn a_signal_drains_the_service_and_it_exits_successfully() {
    for name in ["TERM", "INT"] {
        let (child, _) = start(&[]);
        signal(&child, name);
        assert!(ends_well(child), "after {name}");
    }
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once_with_an_error() {
    let (child, admin) = start(&[("FLOTILLA__STUBBORN", "true"), ("FLOTILLA__SERVICE__GRACE", "1h")]);
    until(admin, "/readyz", 200).await;
    signal(&child, "TERM");
    // The second one must find the drain begun; two at once may be delivered as one.
    let report = until(admin, "/readyz", 503).await;
    assert!(report.contains(r#""draining":true"#), "{report}");
    signal(&child, "TERM");
    assert!(!ends_well(child));
}

#[test]
fn a_signal_during_a_wait_is_a_failure() {
    let mut child = process("await-migrations").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.any(|line| line == WAITS));
    signal(&child, "TERM");
    assert!(said.any(|line| line == "toy: stopped by SIGTERM before it was done"));
    assert!(!ends_well(child));
}
