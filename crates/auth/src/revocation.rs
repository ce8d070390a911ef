//! Sessions that have ended early, made known to every [`Authenticator`] within five seconds: it asks identity every
//! two seconds, and an answer may take two.
//!
//! While identity can't be reached, tokens of sessions that end in the meantime stay valid until they expire.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flotilla_proto::identity::v1 as proto;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Authenticator;

/// The polling interval.
pub(super) const POLL: Duration = Duration::from_secs(2);
/// How long a response may take.
const ANSWER: Duration = Duration::from_secs(2);
/// Maximum number of pages in a row; the rest is fetched by the next poll.
const PAGES: usize = 100;

/// A session that has ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revoked {
    /// The session, as in the claim `sid`.
    pub session: Uuid,
    /// When its last access token expires.
    pub until: SystemTime,
}

impl Revoked {
    /// Reads an entry of identity's response; `None` if it is invalid.
    pub fn from_proto(entry: &proto::RevokedSession) -> Option<Self> {
        let session = Uuid::try_parse(&entry.session_id).ok()?;
        let until = entry.expire_time.and_then(|time| SystemTime::try_from(time).ok())?;
        Some(Self { session, until })
    }

    /// The entry as identity returns it.
    pub fn to_proto(self) -> proto::RevokedSession {
        proto::RevokedSession { session_id: self.session.to_string(), expire_time: Some(self.until.into()) }
    }
}

/// A page of ended sessions.
#[derive(Debug, Clone, Default)]
pub struct Revocations {
    /// The sessions; those of an earlier page may be repeated.
    pub sessions: Vec<Revoked>,
    /// The cursor of the next page.
    pub cursor: String,
    /// Whether there are more sessions after the cursor.
    pub more: bool,
}

/// Ended sessions can't be fetched now.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RevocationsUnavailable {
    /// The source didn't respond, or failed.
    #[error("ended sessions are unavailable: {0}")]
    Failed(String),
    /// The source doesn't know the cursor.
    #[error("the cursor of ended sessions was refused: {0}")]
    BadCursor(String),
}

/// A source of ended sessions.
#[async_trait::async_trait]
pub trait RevocationSource: Send + Sync + 'static {
    /// Sessions that have ended since `cursor`; with an empty one, all whose access tokens may still be valid.
    async fn revoked(&self, cursor: &str) -> Result<Revocations, RevocationsUnavailable>;
}

impl Authenticator {
    /// Follows `source` until `shutdown`: a background task of the service that checks tokens.
    pub fn watch_revocations(
        &self,
        source: Arc<dyn RevocationSource>,
        shutdown: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        let watch = Watch { authenticator: self.clone(), source, cursor: String::new(), failing: false };
        async move {
            shutdown.run_until_cancelled(watch.run()).await;
        }
    }
}

struct Watch {
    authenticator: Authenticator,
    source: Arc<dyn RevocationSource>,
    cursor: String,
    failing: bool,
}

impl Watch {
    async fn run(mut self) {
        let mut ticks = tokio::time::interval(POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let outcome = self.catch_up().await;
            self.authenticator.forget_ended();
            match &outcome {
                Ok(()) if self.failing => tracing::info!("ended sessions can be read again"),
                Err(error) if !self.failing => tracing::warn!(%error, "ended sessions can't be read"),
                _ => {}
            }
            self.failing = outcome.is_err();
        }
    }

    async fn catch_up(&mut self) -> Result<(), RevocationsUnavailable> {
        for _ in 0..PAGES {
            let answer = tokio::time::timeout(ANSWER, self.source.revoked(&self.cursor)).await;
            let answer = answer.map_err(|_| RevocationsUnavailable::Failed("no response in time".to_owned()))?;
            if let Err(RevocationsUnavailable::BadCursor(_)) = &answer {
                // The next request starts from the beginning: with the refused cursor no ended session would ever be
                // seen again.
                self.cursor.clear();
            }
            let news = answer?;
            self.authenticator.revoke(&news.sessions);
            self.cursor = news.cursor;
            if !news.more {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
