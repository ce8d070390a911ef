//! Reading one page of a list: the statement that [`Select`] renders, run on a pool.

use flotilla_listing::{Page, Select, Value, key_column};
use flotilla_postgres::{Error, Pool, Row};
use uuid::Uuid;

/// The rows of a page, and the token of the next (empty at the end). `own` are the parameters of the select's own
/// condition.
///
/// # Errors
/// The database's.
pub async fn read(pool: &Pool, page: &Page, select: &Select, own: &[Value]) -> Result<(Vec<Row>, String), Error> {
    let statement = page.statement(select, own);
    cut(page, pool.query_text(&statement.text, &statement.values).await?)
}

/// As [`read`], on behalf of a user, bound by row-level security.
///
/// # Errors
/// The database's.
pub async fn read_as(
    pool: &Pool,
    user: Uuid,
    page: &Page,
    select: &Select,
    own: &[Value],
) -> Result<(Vec<Row>, String), Error> {
    let statement = page.statement(select, own);
    cut(page, pool.query_text_as(user, &statement.text, &statement.values).await?)
}

fn cut(page: &Page, mut rows: Vec<Row>) -> Result<(Vec<Row>, String), Error> {
    let keys: Vec<String> = (0..page.keys()).map(key_column).collect();
    let token = page.cut(&mut rows, |row, index| row.get::<&str>(keys[index].as_str()).map(str::to_owned));
    Ok((rows, token?))
}
