//! Settings of the remote source, section `remote`.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flotilla_config::{HumanDuration, Problems, Setting, Shown, Validate};

use super::Remote;

/// The maximum time that a start waits for an optional dependency.
const LONGEST: Duration = Duration::from_secs(60);

/// Where settings and flags come from while the process runs.
#[derive(Clone, Setting)]
#[setting(default)]
pub struct RemoteSettings {
    /// Address of the NATS server with the bucket `flotilla_settings`, such as `nats://127.0.0.1:4222`. If empty, there
    /// is no remote source.
    pub nats_url: String,
    /// Maximum wait for the bucket at start-up; without it the service starts anyway. Default `2s`.
    pub start_timeout: HumanDuration,
    /// The process's one follower, once it runs.
    #[setting(skip)]
    pub link: RemoteLink,
}

/// The address without a password.
impl fmt::Debug for RemoteSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteSettings")
            .field("nats_url", &Shown::plain("nats_url", &self.nats_url).value)
            .field("start_timeout", &self.start_timeout)
            .finish_non_exhaustive()
    }
}

impl Default for RemoteSettings {
    fn default() -> Self {
        Self { nats_url: String::new(), start_timeout: HumanDuration::from_secs(2), link: RemoteLink::default() }
    }
}

impl RemoteSettings {
    /// Whether there is a remote source.
    pub fn is_on(&self) -> bool {
        !self.nats_url.is_empty()
    }
}

impl Validate for RemoteSettings {
    fn validate(&self, problems: &mut Problems) {
        let known = ["nats://", "tls://", "ws://", "wss://"].iter().any(|scheme| self.nats_url.starts_with(scheme));
        problems.require(!self.is_on() || known, "nats_url", "must be an address such as nats://127.0.0.1:4222");
        let wait = self.start_timeout.get();
        let fits = !wait.is_zero() && wait <= LONGEST;
        problems.require(fits, "start_timeout", "must be longer than 0s and at most 1m: the start waits for it");
    }
}

/// Passes the follower that the command line has started to the service, so that both share one. Not a setting; clones
/// share it.
#[derive(Clone, Default)]
pub struct RemoteLink(Arc<Mutex<Option<Remote>>>);

impl RemoteLink {
    /// Sets the follower.
    pub fn attach(&self, remote: Remote) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(remote);
    }

    /// The follower, if one was set.
    pub fn remote(&self) -> Option<Remote> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for RemoteLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RemoteLink")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_the_address_is_not_shown() {
        let settings =
            RemoteSettings { nats_url: "nats://orders:geheim@nats:4222".to_owned(), ..RemoteSettings::default() };
        let shown = format!("{settings:?}");
        assert!(shown.contains("nats://orders:****@nats:4222") && !shown.contains("geheim"), "{shown}");
    }
}
