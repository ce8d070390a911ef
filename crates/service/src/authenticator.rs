//! Builds a service's authenticator: keys and ended sessions come from identity, the latter by a task of the chassis.

use std::sync::Arc;

use anyhow::Context as _;
use flotilla_auth::{AuthSettings, Authenticator};
use flotilla_rpc::{ClientSettings, RemoteKeys};

use crate::Chassis;

impl Chassis {
    /// Checks tokens with the keys of the identity service at `auth.identity_url`. A task of the chassis
    /// polls it every two seconds for sessions that have ended.
    ///
    /// # Errors
    /// The address is invalid.
    pub fn authenticator(&mut self, auth: &AuthSettings, client: &ClientSettings) -> anyhow::Result<Authenticator> {
        let identity = Arc::new(RemoteKeys::connect(&auth.identity_url, client).context("auth.identity_url")?);
        let authenticator = Authenticator::new(auth, identity.clone());
        self.spawn("ended sessions", authenticator.watch_revocations(identity, self.shutdown()));
        Ok(authenticator)
    }
}
