//! Two services in one real process: this test binary runs itself as the process.

use std::io::{BufRead as _, BufReader, Lines, Read as _};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};

use axum::routing::get;
use flotilla_config::{Problems, Setting, Validate};
use flotilla_rpc::{AccessRules, ClientSettings, Server, ServerSettings, channel};
use flotilla_service::remote::RemoteSettings;
use flotilla_service::{Chassis, Common, OneProcess, Running, Service, ServiceSettings};
use flotilla_telemetry::{Telemetry, TelemetrySettings};
use serde_json::Value;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::signals::{ends_well, signal};
use crate::toy::{get as ask, send, until, until_answer};

/// Set in the process that runs the services.
const CHILD: &str = "FLOTILLA_TEST_CHILD";

#[derive(Clone, Setting)]
struct Settings {
    #[setting(default)]
    service: ServiceSettings,
    #[setting(default)]
    telemetry: TelemetrySettings,
    #[setting(default)]
    remote: RemoteSettings,
    #[setting(default)]
    grpc: ServerSettings,
    #[setting(default)]
    client: ClientSettings,
    /// The other service.
    #[setting(default)]
    back_url: String,
    /// What the admin port greets with.
    #[setting(default)]
    greeting: String,
}

impl Validate for Settings {
    fn validate(&self, _: &mut Problems) {}
}

fn common(settings: &Settings) -> Common<'_> {
    Common {
        service: &settings.service,
        telemetry: &settings.telemetry,
        remote: &settings.remote,
        postgres: None,
        grpc: Some(&settings.grpc),
        client: Some(&settings.client),
    }
}

/// Calls the other service, also while it drains.
struct Front;

impl Service for Front {
    const NAME: &'static str = "front";
    type Settings = Settings;

    fn common(settings: &Settings) -> Common<'_> {
        Common { grpc: None, ..common(settings) }
    }

    async fn build(settings: Settings, telemetry: &Telemetry) -> anyhow::Result<Running> {
        let mut chassis = Chassis::new(Self::NAME, &settings.service, telemetry.registry());
        greet(&mut chassis, &settings);
        let back = channel(&settings.back_url, &settings.client)?;
        let health = move || {
            let mut back = HealthClient::new(back.clone());
            async move {
                let answer = back.check(HealthCheckRequest::default()).await;
                answer.map_or_else(
                    |status| status.to_string(),
                    |answer| answer.get_ref().status().as_str_name().to_owned(),
                )
            }
        };
        let asked = health.clone();
        chassis.mount(axum::Router::new().route("/back", get(asked)));
        let serve = move |_, stop: tokio_util::sync::CancellationToken| async move {
            stop.cancelled().await;
            let answer = health().await;
            tracing::info!(answer, "asked while draining");
            Ok(())
        };
        chassis.start_with("127.0.0.1:0".parse()?, None, serve).await
    }
}

/// Has a task that can be made to end.
struct Back;

impl Service for Back {
    const NAME: &'static str = "back";
    type Settings = Settings;

    fn common(settings: &Settings) -> Common<'_> {
        common(settings)
    }

    async fn build(settings: Settings, telemetry: &Telemetry) -> anyhow::Result<Running> {
        let mut chassis = Chassis::new(Self::NAME, &settings.service, telemetry.registry());
        greet(&mut chassis, &settings);
        let end = tokio_util::sync::CancellationToken::new();
        let (ended, shutdown) = (end.clone(), chassis.shutdown());
        chassis.spawn("task", async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = ended.cancelled() => {}
            }
        });
        chassis.mount(axum::Router::new().route("/end", get(move || async move { end.cancel() })));
        let server = Server::new(&settings.grpc, None, AccessRules::new(), telemetry.registry());
        chassis.start(server, settings.grpc.listen).await
    }
}

fn greet(chassis: &mut Chassis, settings: &Settings) {
    let greeting = settings.greeting.clone();
    chassis.mount(axum::Router::new().route("/greeting", get(move || async move { greeting })));
}

/// Not a test but the process; does nothing unless the tests below start it, with its command.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn child() {
    if let Ok(command) = std::env::var(CHILD) {
        let code = OneProcess::new("pair").with::<Front>().with::<Back>().run(std::iter::once(command)).await;
        // An exit code can't be compared in another way.
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
    }
}

fn process(settings: &[(&str, &str)]) -> Command {
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (admin, back) = (free(), free());
    let mut process = Command::new(std::env::current_exe().unwrap());
    process
        .args(["--exact", "one_process::child", "--nocapture"])
        .env(CHILD, "serve")
        .env("FLOTILLA__TELEMETRY__FORMAT", "json")
        .env("FLOTILLA__SERVICE__ADMIN_LISTEN", admin.to_string())
        .env("FLOTILLA_BACK__GRPC__LISTEN", back.to_string())
        .env("FLOTILLA_FRONT__BACK_URL", format!("http://{back}"))
        .env("FLOTILLA__GREETING", "hello")
        .env("FLOTILLA_BACK__GREETING", "hello from behind")
        .env("RUST_LOG", "info")
        .envs(settings.iter().copied());
    process
}

/// The running process, and the lines that it logs.
struct Pair {
    child: Child,
    admin: SocketAddr,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Pair {
    async fn start() -> Self {
        Self::start_with(&[]).await
    }

    async fn start_with(settings: &[(&str, &str)]) -> Self {
        let mut process = process(settings);
        let admin = process.get_envs().find(|(name, _)| *name == "FLOTILLA__SERVICE__ADMIN_LISTEN");
        let admin = admin.unwrap().1.unwrap().to_str().unwrap().parse().unwrap();
        let mut child = process.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for service in ["front", "back"] {
            // Whichever is ready first.
            let ready = lines.by_ref().map(Result::unwrap).any(|line| line.contains(r#""message":"ready""#));
            assert!(ready, "{service} is ready");
        }
        until(admin, "/readyz", 200).await;
        Self { child, admin, lines }
    }

    /// The lines until the end, as JSON.
    fn rest(self) -> (Child, Vec<Value>) {
        let parsed = self.lines.map(Result::unwrap).filter_map(|line| serde_json::from_str(&line).ok());
        let lines = parsed.collect();
        (self.child, lines)
    }
}

async fn json(admin: SocketAddr, path: &str) -> Value {
    let (status, body) = ask(admin, path).await;
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn each_service_has_its_endpoints_and_settings_and_the_process_those_of_all() {
    let pair = Pair::start().await;
    let whole = json(pair.admin, "/readyz").await;
    assert_eq!((&whole["service"], &whole["ready"]), (&"pair".into(), &true.into()), "{whole}");
    for service in ["front", "back"] {
        assert_eq!(whole["services"][service]["ready"], true, "{whole}");
        assert_eq!(json(pair.admin, &format!("/{service}/readyz")).await["service"], service);
        assert_eq!(json(pair.admin, &format!("/{service}/version")).await["service"], service);
        for path in ["/livez", "/startupz", &format!("/{service}/livez"), &format!("/{service}/logging")] {
            json(pair.admin, path).await;
        }
    }
    assert_eq!(ask(pair.admin, "/front/greeting").await.1, "hello");
    assert_eq!(ask(pair.admin, "/back/greeting").await.1, "hello from behind");
    assert_eq!(ask(pair.admin, "/front/back").await.1, "SERVING", "a call between them");
    assert_eq!(ask(pair.admin, "/nobody/readyz").await.0, 404);
    let at = pair.admin.to_string();
    let healthcheck = |admin: &str| {
        let settings = [(CHILD, "healthcheck"), ("FLOTILLA__SERVICE__ADMIN_LISTEN", admin)];
        process(&settings).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    };
    assert!(healthcheck(&at) && !healthcheck("127.0.0.1:1"));
    let config = json(pair.admin, "/back/config").await.to_string();
    assert!(config.contains("FLOTILLA_BACK__GREETING") && config.contains(r#""service":"back""#), "{config}");
    let (status, answer) = send(pair.admin, "PUT", "/logging", r#"{"level":"warn"}"#).await;
    assert_eq!(status, 200, "{answer}");
    assert!(ask(pair.admin, "/back/logging").await.1.contains(r#""filter":"warn""#), "the filter is the process's");
    signal(&pair.child, "TERM");
    assert!(ends_well(pair.child));
}

#[tokio::test]
async fn metrics_are_told_apart_and_those_of_the_process_are_there_once() {
    let pair = Pair::start().await;
    let (_, all) = ask(pair.admin, "/metrics").await;
    let count = |text: &str, start: &str| text.lines().filter(|line| line.starts_with(start)).count();
    for service in ["front", "back"] {
        assert_eq!(count(&all, &format!("flotilla_build_info{{job=\"{service}\",")), 1, "{all}");
        let (_, own) = ask(pair.admin, &format!("/{service}/metrics")).await;
        assert_eq!((count(&own, "flotilla_build_info{commit"), count(&own, "process_")), (1, 0), "{own}");
    }
    let (_, process) = ask(pair.admin, "/process/metrics").await;
    for name in ["process_resident_memory_bytes ", "flotilla_runtime_workers "] {
        assert_eq!((count(&all, name), count(&process, name)), (1, 1), "{name}");
    }
    assert_eq!(count(&process, "flotilla_build_info"), 0, "{process}");
    signal(&pair.child, "TERM");
    assert!(ends_well(pair.child));
}

#[tokio::test]
async fn a_change_of_one_services_log_filter_applies_to_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let variables = folder.path().join("variables");
    std::fs::write(&variables, "").unwrap();
    let pair = Pair::start_with(&[("FLOTILLA_ENV_FILE", variables.to_str().unwrap()), ("RUST_LOG", "")]).await;
    assert_eq!(json(pair.admin, "/logging").await["filter"], "info");
    std::fs::write(&variables, "FLOTILLA_BACK__TELEMETRY__FILTER=debug\n").unwrap();
    until_answer(pair.admin, "/logging", |_, body| {
        serde_json::from_str::<Value>(body).is_ok_and(|logging| logging["filter"] == "debug")
    })
    .await;
    signal(&pair.child, "TERM");
    assert!(ends_well(pair.child));
}

#[tokio::test]
async fn at_a_signal_the_first_service_drains_while_the_others_still_serve() {
    let pair = Pair::start().await;
    signal(&pair.child, "TERM");
    let (child, lines) = pair.rest();
    assert!(ends_well(child));
    let place = |message: &str, service: &str| {
        let found = lines.iter().position(|line| line["message"] == message && line["service"] == service);
        found.unwrap_or_else(|| panic!("{service} doesn't log {message:?}: {lines:#?}"))
    };
    let asked = &lines[place("asked while draining", "front")];
    assert_eq!(asked["answer"], "SERVING", "{lines:#?}");
    assert!(place("stopped", "front") < place("draining", "back"), "{lines:#?}");
    place("stopped", "back");
}

#[tokio::test]
async fn a_task_that_ends_in_one_service_stops_the_process_with_an_error() {
    let pair = Pair::start().await;
    ask(pair.admin, "/back/end").await;
    let (child, lines) = pair.rest();
    assert!(!ends_well(child));
    let failed = lines.iter().find(|line| line["message"] == "process failed").expect("the failure is logged");
    assert_eq!(failed["error"], "back: task task ended early");
    let stopped = |service: &str| lines.iter().any(|line| line["message"] == "stopped" && line["service"] == service);
    assert!(stopped("front") && stopped("back"), "{lines:#?}");
}

#[test]
fn settings_of_the_process_that_differ_are_refused_with_both_services() {
    let mut process = process(&[("FLOTILLA_BACK__TELEMETRY__FORMAT", "compact")]);
    let mut child = process.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    let expected =
        "telemetry.format differs between front and back, which share one process: set it alike for all services";
    assert!(said.contains(expected), "{said}");
    assert!(!ends_well(child));
}
