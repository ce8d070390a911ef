//! The server that `scripts/test/vault.sh` started, configured with its own command line.

use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

const TIMEOUT: Duration = Duration::from_secs(30);
static NAMES: AtomicU32 = AtomicU32::new(0);

/// The server, as its operator sees it.
#[derive(Clone, Debug)]
pub struct Bao {
    program: String,
    pub address: String,
    pub root: String,
}

impl Bao {
    pub fn running() -> Self {
        let variable =
            |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} isn't set: run make test-vault"));
        Self {
            program: variable("FLOTILLA_TEST_VAULT_PROGRAM"),
            address: variable("FLOTILLA_TEST_VAULT_ADDRESS"),
            root: variable("FLOTILLA_TEST_VAULT_ROOT"),
        }
    }

    /// A unique name.
    pub fn name(&self, what: &str) -> String {
        format!("{what}-{}-{}", std::process::id(), NAMES.fetch_add(1, Ordering::Relaxed))
    }

    /// Runs a command and returns what it prints.
    pub async fn run(&self, arguments: &[&str]) -> String {
        self.run_with(arguments, "").await
    }

    /// Like [`run`](Self::run), with standard input.
    pub async fn run_with(&self, arguments: &[&str], input: &str) -> String {
        let mut command = Command::new(&self.program);
        command.args(arguments).env("BAO_ADDR", &self.address).env("BAO_TOKEN", &self.root);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let work = async {
            let mut child = command.spawn().unwrap();
            child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
            child.wait_with_output().await.unwrap()
        };
        let output = tokio::time::timeout(TIMEOUT, work).await.expect("the command ends in time");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// One field of a command's output.
    pub async fn field(&self, field: &str, arguments: &[&str]) -> String {
        // After the command's name, before its arguments.
        let (command, rest) = arguments.split_at(if arguments[0] == "token" { 2 } else { 1 });
        let wanted = format!("-field={field}");
        let all: Vec<&str> = command.iter().copied().chain([wanted.as_str()]).chain(rest.iter().copied()).collect();
        self.run(&all).await
    }

    /// Creates a policy that allows only reading these paths, and returns its name.
    pub async fn may_read(&self, paths: &[&str]) -> String {
        let name = self.name("policy");
        let rules: String =
            paths.iter().map(|path| format!("path \"{path}\" {{ capabilities = [\"read\"] }}\n")).collect();
        self.run_with(&["policy", "write", &name, "-"], &rules).await;
        name
    }

    /// A token that can only read these paths and expires after a minute unless renewed.
    pub async fn token(&self, paths: &[&str]) -> String {
        let policy = format!("-policy={}", self.may_read(paths).await);
        self.field("token", &["token", "create", "-ttl=60s", &policy]).await
    }
}
