//! What a process says that panics, on all its outputs. The process is this test again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Output, Stdio};
use std::time::Duration;

use flotilla_telemetry::{LogFormat, LogOutput, TelemetryError, TelemetrySettings, init};

const CHILD: &str = "PANIC_TEST_CHILD";
const SECRETS: [&str; 4] =
    ["hunter2-of-ann", "ann@example.com", "4111111111111111", "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.c2ln"];

/// Does nothing unless it is started by another test.
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
    let died = tokio::spawn(async move {
        panic!("no way on for {email} with password={password}, card {card} and {token}");
    });
    assert!(died.await.is_err());
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
async fn a_panic_is_a_log_line_and_tells_no_secret() {
    let output = run_child().await;
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    assert!(output.status.success(), "{said}");
    let line = said.lines().find(|line| line.contains("\"panicked\"")).unwrap_or_else(|| panic!("no line: {said}"));
    for part in ["tests/panic.rs", "no way on for [email]", "password=[secret]", "[card]", "[token]", "\"backtrace\":"]
    {
        assert!(line.contains(part), "{part} isn't in {line}");
    }
    for secret in SECRETS {
        assert!(!said.contains(secret), "{secret} is told: {said}");
    }
}
