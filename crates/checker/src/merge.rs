//! Compares two tables in different databases by merging their rows in the order of their keys.

use anyhow::{Context as _, Result};
use futures::{Stream, TryStreamExt as _};
use tokio_postgres::{Error, Row};
use uuid::Uuid;

/// The rows with one key: on the left side, on the right side, or on both.
pub enum Pair<'a> {
    /// Only on the left.
    Left(&'a Row),
    /// Only on the right.
    Right,
    /// On both.
    Both(&'a Row, &'a Row),
}

/// Merges two streams of rows whose first column is a UUID, each sorted by it and without repeats; `judge` says
/// what is wrong with a pair. Returns the number of pairs and what is wrong.
///
/// # Errors
/// When a row can't be read.
pub async fn merge<L, R, F>(left: L, right: R, judge: impl Fn(Uuid, Pair<'_>) -> Option<F>) -> Result<(u64, Vec<F>)>
where
    L: Stream<Item = Result<Row, Error>>,
    R: Stream<Item = Result<Row, Error>>,
{
    let (mut left, mut right) = (std::pin::pin!(left), std::pin::pin!(right));
    let (mut a, mut b) = (left.try_next().await?, right.try_next().await?);
    let (mut count, mut wrong) = (0, Vec::new());
    loop {
        let keys = (key(a.as_ref())?, key(b.as_ref())?);
        let (id, pair, next_a, next_b) = match keys {
            (None, None) => return Ok((count, wrong)),
            (Some(x), Some(y)) if x == y => {
                let (Some(a), Some(b)) = (&a, &b) else { continue };
                (x, Pair::Both(a, b), true, true)
            }
            (Some(x), y) if y.is_none_or(|y| x < y) => {
                let Some(a) = &a else { continue };
                (x, Pair::Left(a), true, false)
            }
            (_, Some(y)) => (y, Pair::Right, false, true),
            (Some(_), None) => continue,
        };
        count += 1;
        wrong.extend(judge(id, pair));
        if next_a {
            a = left.try_next().await?;
        }
        if next_b {
            b = right.try_next().await?;
        }
    }
}

fn key(row: Option<&Row>) -> Result<Option<Uuid>> {
    row.map(|row| row.try_get(0).context("the first column is not a UUID")).transpose()
}
