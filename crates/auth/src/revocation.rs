//! Sessions that have ended early, made known to every [`Authenticator`] within five seconds: it asks identity every two
//! seconds, and an answer may take two.
//!
//! While identity can't be reached nothing is learnt: tokens of ended sessions then live until they end by themselves.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flotilla_proto::identity::v1 as proto;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Authenticator;

/// Pause between two questions.
pub(super) const POLL: Duration = Duration::from_secs(2);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(2);
/// Most pages in a row: what is left comes with the next question.
const PAGES: usize = 100;

/// A session that has ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revoked {
    /// The session, as in the claim `sid`.
    pub session: Uuid,
    /// When its last access token ends.
    pub until: SystemTime,
}

impl Revoked {
    /// Reads an entry of identity's answer; `None` if it isn't one.
    pub fn from_proto(entry: &proto::RevokedSession) -> Option<Self> {
        let session = Uuid::try_parse(&entry.session_id).ok()?;
        let until = entry.expire_time.and_then(|time| SystemTime::try_from(time).ok())?;
        Some(Self { session, until })
    }

    /// The entry as identity answers it.
    pub fn to_proto(self) -> proto::RevokedSession {
        proto::RevokedSession { session_id: self.session.to_string(), expire_time: Some(self.until.into()) }
    }
}

/// A part of what has ended.
#[derive(Debug, Clone, Default)]
pub struct Revocations {
    /// The sessions; those of an earlier part may come again.
    pub sessions: Vec<Revoked>,
    /// Where to go on.
    pub cursor: String,
    /// Whether more wait behind the cursor already.
    pub more: bool,
}

/// What has ended can't be had now.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RevocationsUnavailable {
    /// The source didn't answer, or failed.
    #[error("ended sessions unavailable: {0}")]
    Failed(String),
    /// The source doesn't know the cursor.
    #[error("the cursor of ended sessions is refused: {0}")]
    BadCursor(String),
}

/// Where ended sessions are learnt from.
#[async_trait::async_trait]
pub trait RevocationSource: Send + Sync + 'static {
    /// What has ended since `cursor`; with an empty one all whose access tokens may still live.
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
                Ok(()) if self.failing => tracing::info!("ended sessions are known again"),
                Err(error) if !self.failing => tracing::warn!(%error, "ended sessions could not be read"),
                _ => {}
            }
            self.failing = outcome.is_err();
        }
    }

    async fn catch_up(&mut self) -> Result<(), RevocationsUnavailable> {
        for _ in 0..PAGES {
            let answer = tokio::time::timeout(ANSWER, self.source.revoked(&self.cursor)).await;
            let answer = answer.map_err(|_| RevocationsUnavailable::Failed("no answer in time".to_owned()))?;
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
