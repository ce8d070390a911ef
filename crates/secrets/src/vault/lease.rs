//! A leased credential, which expires unless it is renewed.

use std::time::Duration;

use tokio::time::Instant;

use super::login::Session;
use crate::metrics::Outcome;
use crate::secret::{Content, Fields, Secret};

/// Minimum time until a refresh.
const MIN_REFRESH: Duration = Duration::from_secs(1);

/// When a lease or login with this lifetime is due for renewal.
pub(super) fn due(lifetime: Duration) -> Duration {
    lifetime * 2 / 3
}

/// A leased credential.
pub(super) struct Lease {
    pub id: String,
    /// The lifetime granted at first.
    pub lifetime: Duration,
    pub renewable: bool,
    /// The number of the login that it belongs to, with which it ends.
    pub session: u64,
    fields: Fields,
    due: Instant,
}

impl Lease {
    /// A lease, if the response has one.
    pub fn granted(id: String, seconds: u64, renewable: bool, session: &Session, fields: Fields) -> Option<Self> {
        if id.is_empty() || seconds == 0 {
            return None;
        }
        let lifetime = Duration::from_secs(seconds);
        Some(Self { id, lifetime, renewable, session: session.number, fields, due: Instant::now() + due(lifetime) })
    }

    pub fn is_due(&self) -> bool {
        self.due <= Instant::now()
    }

    /// Applies a renewal. Returns false if too little time was granted, as Vault does near a lease's maximum lifetime.
    pub fn extend(&mut self, seconds: u64) -> bool {
        let granted = Duration::from_secs(seconds);
        if granted < self.lifetime / 2 {
            return false;
        }
        self.due = Instant::now() + due(granted);
        true
    }

    /// The credential, to be refreshed when it or its login is due.
    pub fn secret(&self, session: &Session, outcome: Outcome) -> Secret {
        let due = session.due().map_or(self.due, |login| login.min(self.due));
        let refresh_in = due.saturating_duration_since(Instant::now()).max(MIN_REFRESH);
        Secret { content: Content::Fields(self.fields.clone()), refresh_in: Some(refresh_in), outcome }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(seconds: u64, session: &Session) -> Lease {
        Lease::granted("id".to_owned(), seconds, true, session, Fields::new()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_due_after_two_thirds_of_its_lifetime() {
        let session = Session::endless("token");
        let mut lease = lease(90, &session);
        assert_eq!(lease.secret(&session, Outcome::Issued).refresh_in, Some(Duration::from_secs(60)));
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(!lease.is_due());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(lease.is_due());
        assert!(lease.extend(90));
        assert!(!lease.is_due());
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_for_less_than_half_ends_the_lease() {
        let session = Session::endless("token");
        let mut lease = lease(90, &session);
        assert!(lease.extend(45));
        assert!(!lease.extend(44));
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_that_expires_before_the_lease_is_due_first() {
        let session = Session::of("token", 30);
        assert_eq!(lease(90, &session).secret(&session, Outcome::Issued).refresh_in, Some(Duration::from_secs(20)));
    }

    #[tokio::test]
    async fn a_response_without_a_lease_is_none() {
        let session = Session::endless("token");
        assert!(Lease::granted(String::new(), 2_764_800, false, &session, Fields::new()).is_none());
        assert!(Lease::granted("id".to_owned(), 0, false, &session, Fields::new()).is_none());
    }
}
