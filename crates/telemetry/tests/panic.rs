//! The outputs of a process that panics. The process is this test binary again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Output, Stdio};
use std::time::Duration;

use flotilla_telemetry::{LogFormat, LogOutput, TelemetryError, TelemetrySettings, init};

const CHILD: &str = "PANIC_TEST_CHILD";
const SECRETS: [&str; 4] =
    ["hunter2-of-ann", "ann@example.com", "4111111111111111", "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.c2ln"];

/// Does nothing unless another test starts it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let settings = TelemetrySettings { format: LogFormat::Json, ..TelemetrySettings::default() };
    let nowhere = TelemetrySettings { output: LogOutput::Both, ..settings.clone() };
    assert!(matches!(init("orders", &nowhere), Err(TelemetryError::Endpoint)));
    let telemetry = init("orders", &settings).unwrap();
    let [password, email, card, token] = SECRETS;
    let panicked = tokio::spawn(async move {
        panic!("can't continue for {email} with password={password}, card {card} and {token}");
    });
    assert!(panicked.await.is_err());
    telemetry.shutdown().await;
}

async fn run_child() -> Output {
    let child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_process", "--nocapture"])
        .env_remove("RUST_LOG")
        .env("RUST_BACKTRACE", "1")
        .env(CHILD, "1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    tokio::time::timeout(Duration::from_secs(60), child).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_panic_is_logged_without_secrets() {
    let output = run_child().await;
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    assert!(output.status.success(), "{text}");
    let line = text.lines().find(|line| line.contains("\"panicked\"")).unwrap_or_else(|| panic!("no line: {text}"));
    for part in
        ["tests/panic.rs", "can't continue for [email]", "password=[secret]", "[card]", "[token]", "\"backtrace\":"]
    {
        assert!(line.contains(part), "{part} isn't in {line}");
    }
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
}
