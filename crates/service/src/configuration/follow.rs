//! What makes a configuration reload: SIGHUP, a file that changed, the remote source, a secret that is due.
//!
//! Files are looked at once a second, by what the file system says of them: a few calls of `stat`, made only where files
//! are in use. Notices of the kernel would come sooner, but not from every mount, and not across the links that
//! Kubernetes swaps unless each directory on the way is watched anew.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use flotilla_config::{Fingerprint, RemoteLayer};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Configuration, Outcome, Settings};

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// When a secret is asked for again after its store failed.
const RETRY: Duration = Duration::from_secs(5);

/// Reloads when something changed.
pub(crate) struct Follower<T> {
    configuration: Arc<Configuration<T>>,
    hangup: Signal,
    remote: Option<watch::Receiver<RemoteLayer>>,
}

impl<T: Settings> Follower<T> {
    /// From now on SIGHUP asks for a reload.
    pub fn new(configuration: &Arc<Configuration<T>>) -> io::Result<Self> {
        let remote = configuration.remote().map(|remote| remote.layers());
        Ok(Self { configuration: Arc::clone(configuration), hangup: signal(SignalKind::hangup())?, remote })
    }

    /// Follows until the shutdown.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut due = self.due();
        loop {
            let cause = tokio::select! {
                () = shutdown.cancelled() => return,
                _ = self.hangup.recv() => "SIGHUP",
                () = changed(&mut self.remote) => "remote source",
                () = after(due) => "secret is due",
                () = files(&self.configuration) => "file",
            };
            let refused = matches!(self.configuration.reload(cause).await, Outcome::Refused(_));
            // A store that failed is asked again soon: what it gave before doesn't hold forever.
            due = self.due().map(|due| if refused { due.min(RETRY) } else { due });
        }
    }

    fn due(&self) -> Option<Duration> {
        self.configuration.state().refresh_in
    }
}

async fn changed(remote: &mut Option<watch::Receiver<RemoteLayer>>) {
    if let Some(layers) = remote
        && layers.changed().await.is_ok()
    {
        return;
    }
    // There is none, or it has ended.
    *remote = None;
    std::future::pending::<()>().await;
}

async fn after(due: Option<Duration>) {
    match due {
        Some(due) => tokio::time::sleep(due).await,
        None => std::future::pending().await,
    }
}

/// Returns when a file has changed.
async fn files<T: Settings>(configuration: &Configuration<T>) {
    let paths = configuration.state().merged.watched().to_vec();
    if paths.is_empty() {
        std::future::pending::<()>().await;
    }
    loop {
        tokio::time::sleep(LOOK).await;
        let paths = paths.clone();
        // On a thread that may block: a mount may hang.
        let Ok(now) = tokio::task::spawn_blocking(move || Fingerprint::of(&paths)).await else { return };
        let mut state = configuration.state();
        if now != state.fingerprint {
            // Also of files that can't be read as they are: they are read again when they change again.
            state.fingerprint = now;
            return;
        }
    }
}
