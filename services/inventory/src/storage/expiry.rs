//! Expired reservations.

use std::time::Duration;

use flotilla_postgres::{Error, Pool, Tx};
use uuid::Uuid;

/// The overlap of consecutive sweeps. No transaction that creates reservations lasts that long.
const OVERLAP: Duration = Duration::from_secs(60);

/// Waits between notices of one hold; they double from the first up to the maximum.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// The wait after the first notice.
    pub first: Duration,
    /// The maximum wait.
    pub longest: Duration,
}

/// Records the holds that have become overdue since the last sweep, and removes those that have ended.
///
/// # Errors
/// The database's error.
pub async fn sweep(pool: &Pool, hold: Duration) -> Result<(), Error> {
    let seconds = [hold.as_secs_f64(), OVERLAP.as_secs_f64()];
    pool.query(include_str!("../../queries/sweep_overdue.sql"), &[&seconds[0], &seconds[1]]).await?;
    pool.query(include_str!("../../queries/forget_ended.sql"), &[]).await?;
    Ok(())
}

/// Takes at most `limit` overdue holds whose notice is due, with the number of their notice, and sets the time of
/// their next one.
///
/// # Errors
/// The database's error.
pub async fn take_due(tx: &Tx, limit: u32, backoff: Backoff) -> Result<Vec<(Uuid, i32)>, Error> {
    let rows = tx
        .query(
            include_str!("../../queries/take_due_notices.sql"),
            &[&i64::from(limit), &backoff.first.as_secs_f64(), &backoff.longest.as_secs_f64()],
        )
        .await?;
    rows.iter().map(|row| Ok((row.get("order_id")?, row.get("notices")?))).collect()
}
