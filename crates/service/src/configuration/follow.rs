//! What triggers a reload of the configuration: SIGHUP, a changed file, the remote source, a secret that is due.
//!
//! Files are checked once a second with a few calls of `stat`, only if files are in use. Kernel notifications would be
//! faster, but don't work on every mount, nor across the links that Kubernetes swaps unless each directory on the path
//! is watched again.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use flotilla_config::{Fingerprint, RemoteLayer};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Configuration, Outcome, Settings};

/// How often files are checked.
const LOOK: Duration = Duration::from_secs(1);
/// When a secret is fetched again after its store failed.
const RETRY: Duration = Duration::from_secs(5);

/// Reloads the configuration when something has changed.
pub(crate) struct Follower<T> {
    configuration: Arc<Configuration<T>>,
    hangup: Signal,
    remote: Option<watch::Receiver<RemoteLayer>>,
}

impl<T: Settings> Follower<T> {
    /// From now on SIGHUP triggers a reload.
    pub fn new(configuration: &Arc<Configuration<T>>) -> io::Result<Self> {
        let remote = configuration.remote().map(|remote| remote.layers());
        Ok(Self { configuration: Arc::clone(configuration), hangup: signal(SignalKind::hangup())?, remote })
    }

    /// Follows changes until the shutdown.
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
            // A failed store is retried soon: the secrets that it returned before may expire.
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
    // There is no remote source, or it has ended.
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
        // On a blocking thread: a mount may hang.
        let Ok(now) = tokio::task::spawn_blocking(move || Fingerprint::of(&paths)).await else { return };
        let mut state = configuration.state();
        if now != state.fingerprint {
            // Also if the files can't be read: they are read again at their next change.
            state.fingerprint = now;
            return;
        }
    }
}
