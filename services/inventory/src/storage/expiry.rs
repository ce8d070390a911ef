//! Holds whose expiry is due to be asked about.

use std::time::Duration;

use flotilla_postgres::{Error, Tx};
use uuid::Uuid;

/// Waits between notices of one hold; doubled from the first up to the longest.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// After the first notice.
    pub first: Duration,
    /// At most.
    pub longest: Duration,
}

/// Takes at most `limit` holds that are due, and sets the time of their next notice. Holds locked by a batch are
/// passed over: they are being answered just now.
///
/// # Errors
/// The database's.
pub async fn take_due(tx: &Tx, limit: u32, backoff: Backoff) -> Result<Vec<(Uuid, i32)>, Error> {
    let rows = tx
        .query(
            include_str!("../../queries/take_due_notices.sql"),
            &[&i64::from(limit), &backoff.first.as_secs_f64(), &backoff.longest.as_secs_f64()],
        )
        .await?;
    rows.iter().map(|row| Ok((row.try_get("order_id")?, row.try_get("notices")?))).collect()
}
