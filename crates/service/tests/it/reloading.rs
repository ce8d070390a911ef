//! Reloads of a real process: by a file, by a signal, by a call; and those that are refused.

use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::signals::{ends_well, signal, start};
use crate::toy::{get, send};

/// The process and its file.
struct Process {
    child: Option<Child>,
    admin: SocketAddr,
    folder: tempfile::TempDir,
}

impl Process {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("toy.toml");
        std::fs::write(&file, "greeting = \"first\"").unwrap();
        let (child, admin) = start(&[("FLOTILLA_CONFIG_FILE", file.to_str().unwrap())]);
        Self { child: Some(child), admin, folder }
    }

    /// Replaces the file at once, as editors and deployments do.
    fn write(&self, text: &str) {
        let next = self.folder.path().join("next");
        std::fs::write(&next, text).unwrap();
        std::fs::rename(next, self.folder.path().join("toy.toml")).unwrap();
    }

    async fn config(&self) -> Value {
        serde_json::from_str(&get(self.admin, "/config").await.1).unwrap()
    }

    async fn until_greets(&self, expected: &str) {
        until(async || get(self.admin, "/greeting").await.1 == expected).await;
    }

    /// Whether reloads of this result were counted.
    async fn counted(&self, result: &str) -> bool {
        let metrics = get(self.admin, "/metrics").await.1;
        let none = format!("flotilla_config_reloads_total{{result=\"{result}\"}} 0");
        metrics.contains(&none.replace(" 0", " ")) && !metrics.contains(&none)
    }

    fn hang_up(&self) {
        signal(self.child.as_ref().unwrap(), "HUP");
    }

    fn end(mut self) {
        let child = self.child.take().unwrap();
        signal(&child, "TERM");
        assert!(ends_well(child));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

async fn until(condition: impl AsyncFn() -> bool) {
    let end = Instant::now() + Duration::from_secs(120);
    while !condition().await {
        assert!(Instant::now() < end, "it never came");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_file_that_changes_changes_what_the_running_service_does() {
    let process = Process::start();
    process.until_greets("first").await;
    assert_eq!(process.config().await["version"], 1);
    process.write("greeting = \"second\"");
    process.until_greets("second").await;
    assert!(process.counted("applied").await);
    let config = process.config().await;
    assert_eq!(config["version"], 2);
    let settings = config["settings"].as_array().unwrap();
    let greeting = settings.iter().find(|setting| setting["setting"] == "greeting").unwrap();
    assert_eq!((&greeting["value"], &greeting["live"]), (&Value::from("second"), &Value::from(true)));
    assert!(greeting["source"].as_str().unwrap().ends_with("toy.toml"), "{greeting}");
    process.end();
}

#[tokio::test]
async fn a_sighup_reloads_at_once() {
    let process = Process::start();
    process.write("greeting = \"second\"");
    process.hang_up();
    process.until_greets("second").await;
    // Nothing but the signal asks for this one.
    process.hang_up();
    until(async || process.counted("unchanged").await).await;
    process.end();
}

#[tokio::test]
async fn a_reload_with_one_invalid_setting_changes_none() {
    let process = Process::start();
    for (wrong, reason) in [
        ("greeting = \"second\"\nstubborn = \"perhaps\"", "stubborn: expected true or false"),
        ("greeting = \"second\"\nstubborn = true", "needs a restart: stubborn"),
        ("greeting = \"second\"\nstuborn = true", "did you mean stubborn?"),
        ("greeting = \"longer than what is allowed\"", "greeting: must be shorter"),
        ("greeting = \"sec", "toy.toml"),
    ] {
        process.write(wrong);
        let (status, body) = send(process.admin, "POST", "/config/reload", "").await;
        assert_eq!(status, 409, "{wrong}: {body}");
        assert!(body.contains(reason), "{wrong}: {body}");
        assert_eq!(get(process.admin, "/greeting").await.1, "first", "{wrong}");
        let config = process.config().await;
        assert_eq!(config["version"], 1, "{wrong}");
        assert!(config["refused"].as_str().unwrap().contains(reason), "{config}");
    }
    process.write("greeting = \"second\"");
    let (status, body) = send(process.admin, "POST", "/config/reload", "").await;
    assert!(status == 200 && body.contains(r#""version":2"#), "{body}");
    assert!(process.config().await["refused"].is_null());
    process.until_greets("second").await;
    process.end();
}

/// Lays a version out as Kubernetes does, and swaps the link to it.
fn mount(folder: &Path, version: &str, greeting: &str) -> PathBuf {
    std::fs::create_dir(folder.join(format!("..{version}"))).unwrap();
    std::fs::write(folder.join(format!("..{version}/greeting")), greeting).unwrap();
    symlink(format!("..{version}"), folder.join("..data_tmp")).unwrap();
    std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    let file = folder.join("greeting");
    if !file.is_symlink() {
        symlink("..data/greeting", &file).unwrap();
    }
    folder.to_owned()
}

#[tokio::test]
async fn a_replaced_mounted_secret_is_reloaded() {
    let folder = tempfile::tempdir().unwrap();
    let at = mount(folder.path(), "2024", "first");
    let (child, admin) = start(&[("FLOTILLA_SECRETS_DIR", at.to_str().unwrap())]);
    let process = Process { child: Some(child), admin, folder: tempfile::tempdir().unwrap() };
    process.until_greets("first").await;
    mount(folder.path(), "2025", "second");
    process.until_greets("second").await;
    let config = get(admin, "/config").await.1;
    assert!(!config.contains(r#""second""#), "what comes from a secret is masked: {config}");
    process.end();
}
