//! Finds and runs pip. The user's settings for index, proxy and certificates apply.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Command;
use tokio::time::timeout;

const ASK_DEADLINE: Duration = Duration::from_secs(30);
const RUN_DEADLINE: Duration = Duration::from_secs(600);

/// pip can't connect, so retrying with fewer packages is pointless.
#[derive(Debug)]
pub(crate) struct Unreachable;

impl std::fmt::Display for Unreachable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("pip can't reach its package index; check the network, the proxy and pip's settings")
    }
}

impl std::error::Error for Unreachable {}

/// The command line of pip.
#[derive(Clone, Debug)]
pub(crate) struct Pip(Vec<OsString>);

impl Pip {
    /// Finds pip, or creates it in a virtual environment in `scratch`, or, as root with apt, installs `python3-pip` and
    /// nothing else, which it announces.
    pub(crate) async fn find(scratch: &Path, say: &(dyn Fn(&str) + Send + Sync)) -> Result<Self> {
        for words in [["python3", "-m", "pip"].as_slice(), &["pip3"], &["pip"]] {
            if let Some(pip) = Self::if_works(words.iter().map(OsString::from).collect()).await {
                return Ok(pip);
            }
        }
        if let Some(pip) = Self::in_environment(scratch).await {
            return Ok(pip);
        }
        if rustix::process::geteuid().is_root() && works(&["apt-get".into(), "--version".into()]).await {
            say("pip not found: installing python3-pip with apt-get (nothing else)");
            return Self::by_apt().await;
        }
        bail!("pip not found")
    }

    /// Downloads the packages of a requirements file; hashes are enforced and nothing is built or run.
    pub(crate) async fn download(&self, requirements: &Path, to: &Path) -> Result<()> {
        let mut words = self.0.clone();
        words.extend(
            ["download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"].map(OsString::from),
        );
        words.extend(["--only-binary", ":all:", "--require-hashes", "--requirement"].map(OsString::from));
        words.extend([requirements.into(), "--dest".into(), to.into()]);
        let output = run(&words, RUN_DEADLINE).await?;
        if output.status.success() {
            return Ok(());
        }
        if String::from_utf8_lossy(&output.stderr).contains("Retrying (") {
            return Err(Unreachable.into());
        }
        bail!("pip: {}", last_lines(&output, 2))
    }

    async fn if_works(words: Vec<OsString>) -> Option<Self> {
        let mut ask = words.clone();
        ask.push("--version".into());
        works(&ask).await.then_some(Self(words))
    }

    /// A virtual environment includes pip if Python has ensurepip.
    async fn in_environment(scratch: &Path) -> Option<Self> {
        let folder = scratch.join("environment");
        let words = ["python3".into(), "-m".into(), "venv".into(), folder.clone().into()];
        if !works_within(&words, RUN_DEADLINE).await {
            return None;
        }
        Self::if_works(vec![folder.join("bin/python3").into(), "-m".into(), "pip".into()]).await
    }

    async fn by_apt() -> Result<Self> {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        // The package lists may be empty or old; a partly failed update may still suffice.
        let updated = run(&words("apt-get -q update"), RUN_DEADLINE).await?;
        let installed = run(&words("apt-get -q install -y --no-install-recommends python3-pip"), RUN_DEADLINE).await?;
        if !installed.status.success() {
            let reason = if updated.status.success() { &installed } else { &updated };
            bail!("apt-get can't install python3-pip: {}", last_lines(reason, 3));
        }
        let pip = Self::if_works(["python3", "-m", "pip"].map(OsString::from).to_vec()).await;
        pip.context("python3-pip is installed, but python3 -m pip doesn't run")
    }
}

async fn works(words: &[OsString]) -> bool {
    works_within(words, ASK_DEADLINE).await
}

async fn works_within(words: &[OsString], deadline: Duration) -> bool {
    run(words, deadline).await.is_ok_and(|output| output.status.success())
}

async fn run(words: &[OsString], deadline: Duration) -> Result<Output> {
    let (program, arguments) = words.split_first().context("an empty command")?;
    let output = Command::new(program)
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // The user may require virtual environments for installing; downloading installs nothing.
        .env("PIP_REQUIRE_VIRTUALENV", "false")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let name = program.display();
    timeout(deadline, output)
        .await
        .with_context(|| format!("{name} did not end within {} s", deadline.as_secs()))?
        .with_context(|| format!("cannot run {name}"))
}

fn last_lines(output: &Output, count: usize) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join("; ")
}
