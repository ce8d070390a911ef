//! The guard of a server: stops the server when the process that started it has ended, for whatever reason.
//!
//! It is a small shell script that reads from a pipe whose other end only the parent holds. The kernel closes that end
//! even on SIGKILL, the read returns, and the guard stops the server. The guard is a sibling of the server, not its
//! parent, so the server stays the parent's own child with its own pid and exit status. It needs only `/bin/sh` (dash or
//! bash 3.2 suffice).

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use tokio::process::{Child, Command};

/// Seconds between the stop signal and SIGKILL.
const GRACE: &str = "8";

/// The first line is the server's pid. After that, a line means that the server has ended, and the end of input that the
/// parent has. If the server is already gone, the signal fails and the guard exits silently.
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
    /// Starts the guard. Called before the server starts, so that the server is unguarded only during one write.
    ///
    /// `shell` runs /bin/sh as a user who can signal the server.
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

    /// Ends the guard after the server has ended, before the server's pid can be reused.
    pub(crate) async fn release(mut self) {
        let _gone = writeln!(self.pipe);
        drop(self.pipe);
        let _ended = tokio::time::timeout(Duration::from_secs(2), self.shell.wait()).await;
    }
}
