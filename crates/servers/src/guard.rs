//! The guard beside a server: stops it when the process that started it has ended, for any reason.
//!
//! A tiny shell that reads a pipe whose other end only the parent holds. The kernel closes that end even on SIGKILL, the
//! read returns, and the guard ends the server. It stands beside the server, not above it, so the server stays the
//! parent's own child with its own pid and exit status. Needs only `/bin/sh` (dash and bash 3.2 do).

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use tokio::process::{Child, Command};

/// Seconds between the polite signal and SIGKILL.
const GRACE: &str = "8";

/// First line in: the server's pid. Then a line means that the server has ended, and the end of the file that the
/// parent has. The server may already be gone: then the signal fails and so does the guard, silently.
const SCRIPT: &str = "\
read -r pid || exit 0
read -r line && exit 0
kill -\"$1\" \"$pid\" || exit 0
n=0
while [ \"$n\" -lt \"$2\" ] && kill -0 \"$pid\"; do sleep 1; n=$((n + 1)); done
kill -9 \"$pid\"
";

/// Guards one server until it is released.
#[derive(Debug)]
pub(crate) struct Guard {
    shell: Child,
    pipe: std::fs::File,
}

impl Guard {
    /// Starts the guard before the server, so that the time in which the server is unguarded is that of one write.
    ///
    /// `shell` runs /bin/sh as a user who may signal the server.
    pub(crate) fn start(mut shell: Command, polite: Signal) -> Result<Self> {
        let mut shell = shell
            .args(["-c", SCRIPT, "guard", &polite.as_raw().to_string(), GRACE])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Apart from the terminal's group: Ctrl-C is for the parent to handle.
            .process_group(0)
            .spawn()
            .context("cannot start /bin/sh")?;
        let pipe = shell.stdin.take().context("the guard has no pipe")?.into_owned_fd()?.into();
        Ok(Self { shell, pipe })
    }

    /// Names the server to guard.
    pub(crate) fn watch(&mut self, pid: u32) -> Result<()> {
        writeln!(self.pipe, "{pid}").context("the guard has ended")
    }

    /// The server has ended: lets the guard go before its pid can be another's.
    pub(crate) async fn release(mut self) {
        let _gone = writeln!(self.pipe);
        drop(self.pipe);
        let _ended = tokio::time::timeout(Duration::from_secs(2), self.shell.wait()).await;
    }
}
