//! The tables `sessions` and `refresh_tokens`.

use std::time::{Duration, SystemTime};

use flotilla_auth::Revoked;
use flotilla_postgres::{Error as StoreError, Pool, Row, retry};
use flotilla_redact::Secret;
use uuid::Uuid;

use super::users::role;
use crate::domain::{
    Role,
    session::{RefreshHash, Refusal, Session, Shown, Times, Verdict},
};

const OPEN: &str = include_str!("../../queries/open_session.sql");
const SHOWN: &str = include_str!("../../queries/lock_refresh_token.sql");
const USE: &str = include_str!("../../queries/use_refresh_token.sql");
const END: &str = include_str!("../../queries/end_session.sql");
const LIST: &str = include_str!("../../queries/list_sessions.sql");
const CLEAN_SESSIONS: &str = include_str!("../../queries/delete_ended_sessions.sql");
const CLEAN_TOKENS: &str = include_str!("../../queries/delete_ended_refresh_tokens.sql");

/// A session to open.
pub struct NewSession {
    /// Its id.
    pub id: Uuid,
    /// The client's name for itself.
    pub client_label: String,
    /// The user.
    pub user: Uuid,
    /// The role in its access token.
    pub role: Role,
    /// The hash of the given password.
    pub password_hash: Secret<String>,
    /// The hash of its first refresh token.
    pub refresh: RefreshHash,
}

/// The result of an exchange.
pub enum Exchange {
    /// The session was extended.
    Done(Carried),
    /// The exchange was refused; with the session if the refusal ended it.
    Refused(Refusal, Option<Revoked>),
}

/// An extended session.
pub struct Carried {
    /// The session.
    pub session: Uuid,
    /// The user.
    pub user: Uuid,
    /// The user's current role.
    pub role: Role,
}

/// The sessions.
#[derive(Clone)]
pub struct Sessions {
    system: Pool,
    own: Pool,
}

impl Sessions {
    /// `system` and `own` are the pools of the system and the user role.
    pub fn new(system: Pool, own: Pool) -> Self {
        Self { system, own }
    }

    /// Opens a session; false if the user has changed since the password was checked. A retry finds its own session.
    pub async fn open(&self, new: &NewSession, times: Times, deadline: Duration) -> Result<bool, StoreError> {
        let NewSession { id, client_label, user, role, password_hash, refresh } = new;
        let Times { now, session_ends, token_ends } = times;
        let (role, refresh) = (role.as_str(), &refresh[..]);
        let attempt = || async {
            let tx = self.system.begin().await?;
            let row = tx
                .query_opt(
                    OPEN,
                    &[
                        id,
                        user,
                        password_hash.expose(),
                        &role,
                        client_label,
                        &now,
                        &session_ends,
                        &token_ends,
                        &refresh,
                    ],
                )
                .await?;
            tx.commit().await?;
            Ok(row.is_some())
        };
        retry(deadline, attempt).await
    }

    /// Exchanges the refresh token `shown` for `next`; ends the session if the token was used before. A retry of the
    /// same exchange finds its own result.
    pub async fn exchange(
        &self,
        shown: &RefreshHash,
        next: &RefreshHash,
        times: Times,
        deadline: Duration,
    ) -> Result<Exchange, StoreError> {
        retry(deadline, || self.try_exchange(shown, next, times)).await
    }

    async fn try_exchange(
        &self,
        shown: &RefreshHash,
        next: &RefreshHash,
        times: Times,
    ) -> Result<Exchange, StoreError> {
        let Times { now, session_ends, token_ends } = times;
        let tx = self.system.begin().await?;
        let Some(row) = tx.query_opt(SHOWN, &[&&shown[..]]).await? else {
            tx.rollback().await?;
            return Ok(Exchange::Refused(Refusal::Unknown, None));
        };
        let carried =
            Carried { session: row.get("session_id")?, user: row.get("user_id")?, role: role(row.get("role")?)? };
        let replaced_by: Option<Vec<u8>> = row.get("replaced_by")?;
        let known = Shown {
            replaced_by: replaced_by.and_then(|hash| hash.try_into().ok()),
            expires_at: row.get("expires_at")?,
            revoked: row.get("revoked")?,
        };
        let exchange = match known.judge(next, now) {
            Verdict::Done => Exchange::Done(carried),
            Verdict::CarryOn => {
                let Carried { session, .. } = &carried;
                tx.execute(USE, &[&&shown[..], &&next[..], session, &now, &session_ends, &token_ends]).await?;
                Exchange::Done(carried)
            }
            Verdict::Refuse(Refusal::Reused) => {
                let ended = tx.query_opt(END, &[&carried.session, &None::<Uuid>, &now]).await?;
                tracing::warn!(session = %carried.session, user = %carried.user, "refresh token used twice; session ended");
                Exchange::Refused(Refusal::Reused, ended.as_ref().map(revoked).transpose()?)
            }
            Verdict::Refuse(refusal) => Exchange::Refused(refusal, None),
        };
        tx.commit().await?;
        Ok(exchange)
    }

    /// Ends a session of `owner`, or of any user without `owner`. `None` if there is no such session.
    pub async fn end(
        &self,
        session: Uuid,
        owner: Option<Uuid>,
        now: SystemTime,
        deadline: Duration,
    ) -> Result<Option<Revoked>, StoreError> {
        let attempt = || async { self.system.query(END, &[&session, &owner, &now]).await };
        let rows = retry(deadline, attempt).await?;
        rows.first().map(revoked).transpose()
    }

    /// A user's sessions that have not ended, newest first, starting after a given session; under row-level security.
    pub async fn list_own(
        &self,
        user: Uuid,
        before: Uuid,
        now: SystemTime,
        limit: i64,
    ) -> Result<Vec<Session>, StoreError> {
        let rows = self.own.query_as(user, LIST, &[&user, &now, &before, &limit]).await?;
        rows.iter().map(session).collect()
    }

    /// Deletes at most `limit` sessions and `limit` refresh tokens that had ended by `before`; returns how many rows
    /// were deleted from the table with more.
    pub async fn clean(&self, before: SystemTime, limit: i64) -> Result<u64, StoreError> {
        let tx = self.system.begin().await?;
        let sessions = tx.execute(CLEAN_SESSIONS, &[&before, &limit]).await?;
        let tokens = tx.execute(CLEAN_TOKENS, &[&before, &limit]).await?;
        tx.commit().await?;
        Ok(sessions.max(tokens))
    }
}

/// Parses an ended session, as returned by `end_session.sql` and similar queries.
pub(super) fn revoked(row: &Row) -> Result<Revoked, StoreError> {
    Ok(Revoked { session: row.get("id")?, until: row.get("token_expires_at")? })
}

fn session(row: &Row) -> Result<Session, StoreError> {
    Ok(Session {
        id: row.get("id")?,
        client_label: row.get("client_label")?,
        created_at: row.get("created_at")?,
        refreshed_at: row.get("refreshed_at")?,
        expires_at: row.get("expires_at")?,
    })
}
