//! Flags for a service: its sources in their order, followed by tasks of the chassis, shown on the admin port.

use anyhow::Context as _;
use flotilla_flags::{FlagSettings, Flags};

use crate::Chassis;
use crate::remote::{Remote, RemoteSettings};

impl Chassis {
    /// The flags of this service. Their sources, in this order: flagd, if it is configured; the bucket of the remote
    /// source; the definitions in the settings. Waits a short time for the bucket; the service also starts without it.
    ///
    /// # Errors
    /// An address is invalid, or flagd doesn't respond.
    pub async fn flags(&mut self, settings: &FlagSettings, remote: &RemoteSettings) -> anyhow::Result<Flags> {
        let mut builder = Flags::builder();
        if !settings.flagd.is_empty() {
            #[cfg(feature = "flagd")]
            {
                builder = builder.provider(flotilla_flags::flagd::connect(&settings.flagd).await?);
            }
            #[cfg(not(feature = "flagd"))]
            anyhow::bail!("flags.flagd needs a build with the feature flagd");
        }
        if let Some(remote) = self.remote(remote).await? {
            builder = builder.key_value(remote.flags());
        }
        let flags = builder.configuration(&settings.definitions).build(self.registry()).await.context("flags")?;
        let (followed, shutdown) = (flags.clone(), self.shutdown());
        self.spawn("flags", async move {
            // The follower may end before the service does.
            if shutdown.run_until_cancelled(followed.follow()).await.is_some() {
                shutdown.cancelled().await;
            }
        });
        self.mount(flotilla_flags::routes(flags.clone()));
        Ok(flags)
    }

    /// The process's follower of the remote source: the one that the command line has started, or a new one.
    async fn remote(&mut self, settings: &RemoteSettings) -> anyhow::Result<Option<Remote>> {
        if let Some(remote) = settings.link.remote() {
            return Ok(Some(remote));
        }
        if !settings.is_on() {
            return Ok(None);
        }
        let (remote, follower) = Remote::follow(self.name(), settings).await?;
        self.spawn("remote settings", follower.run(self.shutdown()));
        if !remote.is_read_within(settings.start_timeout.get()).await {
            tracing::warn!("remote settings could not be read in time, starting without them");
        }
        Ok(Some(remote))
    }
}
