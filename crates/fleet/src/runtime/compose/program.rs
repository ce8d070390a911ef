//! Finds and runs the programs `docker` and `docker compose`.

use std::{ffi::OsString, fs, path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

use crate::home::Home;

/// Programs that can be replaced: the variable that names each, and the file that stores its value at `up`.
const PROGRAMS: [(&str, &str); 2] = [("FLOTILLA_COMPOSE", "compose"), ("FLOTILLA_DOCKER", "docker")];

/// The command for this fleet's project: `FLOTILLA_COMPOSE`, else Docker's plugin.
pub fn compose(home: &Home) -> Command {
    let mut command = match program(home, PROGRAMS[0]) {
        Some(path) => Command::new(path),
        None => {
            let mut command = docker(home);
            command.arg("compose");
            command
        }
    };
    command.args(["--project-name", home.project()]).kill_on_drop(true);
    command
}

/// The command `docker`.
pub fn docker(home: &Home) -> Command {
    Command::new(program(home, PROGRAMS[1]).unwrap_or_else(|| "docker".into()))
}

/// A program as its variable names it now, or did at the last `up`.
fn program(home: &Home, (variable, file): (&str, &str)) -> Option<OsString> {
    let given = std::env::var_os(variable).filter(|path| !path.is_empty());
    given.or_else(|| fs::read_to_string(home.containers().join(file)).ok().map(OsString::from))
}

/// Records the programs, so that `down` needs no variables: it may be typed in another shell.
pub fn remember(home: &Home) -> Result<()> {
    for (variable, file) in PROGRAMS {
        let Some(given) = std::env::var_os(variable).filter(|path| !path.is_empty()) else { continue };
        let path = PathBuf::from(&given);
        // A bare name is looked up in PATH; a path is relative to the current directory.
        let path = if path.components().count() > 1 { std::path::absolute(path)? } else { path };
        home.write_private(&home.containers().join(file), path.as_os_str().as_encoded_bytes())?;
    }
    Ok(())
}

/// Runs a command to its end and returns what it printed.
pub async fn finish(mut command: Command, deadline: Duration) -> Result<String> {
    let run = command.stdin(Stdio::null()).output();
    let output = tokio::time::timeout(deadline, run)
        .await
        .with_context(|| format!("not finished within {} s", deadline.as_secs()))?
        .context("can't run docker: install Docker with its Compose plugin, or set FLOTILLA_COMPOSE")?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let last: Vec<&str> = text.lines().rev().take(12).collect();
        bail!("{}: {}", output.status, last.into_iter().rev().collect::<Vec<_>>().join("\n"));
    }
    Ok(String::from_utf8(output.stdout)?)
}
