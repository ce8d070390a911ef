//! Imports: a chunk of rows is applied in one transaction with its events and the import's progress, so that they
//! always agree.

use std::collections::HashMap;
use std::time::Duration;

use flotilla_clock::Ids;
use flotilla_messaging::{Event, Outbox};
use flotilla_postgres::{Error as StoreError, ErrorKind, Pool, Row, Tx, retry};
use uuid::Uuid;

use super::{catalogue, patience};
use crate::domain::import::{ChunkResult, Import, ImportCounts, Item, Known, REPORTED, Rejection, State, judge};
use crate::domain::product::{Details, Product, ProductId};
use crate::error::Error;
use crate::events::products;

/// A stream that runs an import, and its progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The import.
    pub id: String,
    /// The stream.
    pub run: Uuid,
    /// Number of processed rows.
    pub received: i64,
}

/// The imports' tables.
#[derive(Clone)]
pub struct Imports {
    pool: Pool,
    outbox: Outbox,
    ids: Ids,
    lost_after: Duration,
}

impl Imports {
    /// Creates the imports with this pool. A stream without activity for `lost_after` counts as interrupted.
    #[must_use]
    pub fn new(pool: Pool, outbox: Outbox, ids: Ids, lost_after: Duration) -> Self {
        Self { pool, outbox, ids, lost_after }
    }

    /// Begins an import; an ended one with the same id starts again.
    ///
    /// # Errors
    /// [`Error::ImportRunning`], or the database's error.
    pub async fn begin(&self, id: Option<String>, by: Uuid) -> Result<Run, Error> {
        let run = self.ids.next();
        let id = id.unwrap_or_else(|| run.to_string());
        let lost_after = self.lost_after.as_secs_f64();
        retry(patience(), || async {
            let tx = self.pool.begin().await?;
            tx.execute(include_str!("../../queries/forget_imports.sql"), &[]).await?;
            let begin = include_str!("../../queries/begin_import.sql");
            if tx.query_opt(begin, &[&id, &run, &by, &lost_after]).await?.is_none() {
                return tx.rollback_with(Error::ImportRunning(id.clone())).await;
            }
            tx.execute(include_str!("../../queries/forget_rejections.sql"), &[&id]).await?;
            tx.commit().await?;
            Ok(Run { id: id.clone(), run, received: 0 })
        })
        .await
    }

    /// Applies the rows that follow the run's processed rows. Applying the same rows again changes nothing.
    ///
    /// # Errors
    /// [`Error::ImportTaken`], or the database's error.
    pub async fn apply(&self, run: &mut Run, items: &[Item]) -> Result<(), Error> {
        if items.is_empty() {
            return Ok(());
        }
        retry(patience(), || self.apply_once(run, items)).await?;
        run.received += count(items.len());
        Ok(())
    }

    async fn apply_once(&self, run: &Run, items: &[Item]) -> Result<(), Error> {
        let tx = self.pool.begin().await?;
        let row = tx.query_opt(include_str!("../../queries/lock_import.sql"), &[&run.id, &run.run]).await?;
        let (received, rejected): (i64, i64) = match &row {
            Some(row) => (row.get("received")?, row.get("rejected")?),
            None => (-1, 0),
        };
        if received != run.received {
            tx.rollback().await?;
            // An earlier attempt's commit succeeded, but its response was lost.
            let done = received == run.received + count(items.len());
            return if done { Ok(()) } else { Err(Error::ImportTaken(run.id.clone())) };
        }
        let known = lock_products(&tx, items).await?;
        let judged = judge(items, &known);
        let events = self.write_products(&tx, &judged).await?;
        write_rejections(&tx, &run.id, rejected, &judged.rejections).await?;
        let ImportCounts { received, created, updated, unchanged, rejected } = judged.counts;
        let advance = include_str!("../../queries/advance_import.sql");
        tx.execute(advance, &[&run.id, &received, &created, &updated, &unchanged, &rejected]).await?;
        self.outbox.append(&tx, &events).await?;
        Ok(tx.commit().await?)
    }

    async fn write_products(&self, tx: &Tx, judged: &ChunkResult) -> Result<Vec<Event>, StoreError> {
        let mut events = Vec::new();
        if !judged.made.is_empty() {
            let columns = Columns::of(judged.made.iter());
            let rows = columns.run(tx, include_str!("../../queries/insert_products.sql")).await?;
            if rows.len() != judged.made.len() {
                // Another call has added one of the products in the meantime: the rows are planned again.
                return Err(StoreError::new(ErrorKind::Conflict, "a product was added by another call"));
            }
            for product in rows {
                events.extend(products::changed(&self.ids, &product, None, false));
            }
        }
        if !judged.changed.is_empty() {
            let columns = Columns::of(judged.changed.iter().map(|(id, (_, after))| (id, after)));
            for product in columns.run(tx, include_str!("../../queries/update_products.sql")).await? {
                let before = judged.changed.get(&product.id).map(|(before, _)| before);
                events.extend(products::changed(&self.ids, &product, before, false));
            }
        }
        Ok(events)
    }

    /// Ends a run and returns the import; `None` if another run has taken it over.
    ///
    /// # Errors
    /// The database's error.
    pub async fn end(&self, run: &Run, state: State) -> Result<Option<Import>, Error> {
        let sql = include_str!("../../queries/end_import.sql");
        let rows =
            retry(patience(), || async { self.pool.query(sql, &[&run.id, &run.run, &word(state)]).await }).await?;
        if rows.is_empty() { Ok(None) } else { self.get(&run.id).await.map(Some) }
    }

    /// The current state of an import.
    ///
    /// # Errors
    /// [`Error::NoImport`], or the database's error.
    pub async fn get(&self, id: &str) -> Result<Import, Error> {
        let lost_after = self.lost_after.as_secs_f64();
        let imports = self.pool.query(include_str!("../../queries/get_import.sql"), &[&id, &lost_after]).await?;
        let rejections = self.pool.query(include_str!("../../queries/get_rejections.sql"), &[&id]).await?;
        let row = imports.first().ok_or_else(|| Error::NoImport(id.to_owned()))?;
        let rejections = rejections.iter().map(rejection).collect::<Result<_, _>>()?;
        Ok(import(row, rejections)?)
    }
}

async fn lock_products(tx: &Tx, items: &[Item]) -> Result<HashMap<ProductId, Known>, StoreError> {
    let ids: Vec<&str> = items.iter().flatten().map(|row| row.product.as_str()).collect();
    let mut known = HashMap::new();
    for row in tx.query(include_str!("../../queries/lock_products.sql"), &[&ids]).await? {
        let product = catalogue::read(&row)?;
        let deleted = row.get("deleted")?;
        known.insert(product.id.clone(), if deleted { Known::Deleted } else { Known::Product(product) });
    }
    Ok(known)
}

async fn write_rejections(tx: &Tx, id: &str, before: i64, rejections: &[Rejection]) -> Result<(), StoreError> {
    let room = REPORTED.saturating_sub(usize::try_from(before).unwrap_or(REPORTED));
    let reported = &rejections[..rejections.len().min(room)];
    if reported.is_empty() {
        return Ok(());
    }
    let text = |read: fn(&Rejection) -> &str| reported.iter().map(read).collect::<Vec<_>>();
    let lines: Vec<i64> = reported.iter().map(|rejection| rejection.line).collect();
    let (products, fields) = (text(|rejection| &rejection.product_id), text(|rejection| &rejection.field));
    let (reasons, descriptions) = (text(|rejection| &rejection.reason), text(|rejection| &rejection.description));
    let insert = include_str!("../../queries/insert_rejections.sql");
    tx.execute(insert, &[&id, &lines, &products, &fields, &reasons, &descriptions]).await?;
    Ok(())
}

/// Products by column, as `unnest` takes them.
#[derive(Default)]
struct Columns<'a> {
    ids: Vec<&'a str>,
    display_names: Vec<&'a str>,
    descriptions: Vec<&'a str>,
    prices: Vec<i64>,
    currencies: Vec<&'static str>,
}

impl<'a> Columns<'a> {
    fn of(products: impl Iterator<Item = (&'a ProductId, &'a Details)>) -> Self {
        let mut columns = Self::default();
        for (id, details) in products {
            columns.ids.push(id.as_str());
            columns.display_names.push(&details.display_name);
            columns.descriptions.push(&details.description);
            columns.prices.push(details.price.minor);
            columns.currencies.push(details.price.currency.code());
        }
        columns
    }

    async fn run(&self, tx: &Tx, sql: &'static str) -> Result<Vec<Product>, StoreError> {
        let Self { ids, display_names, descriptions, prices, currencies } = self;
        let rows = tx.query(sql, &[ids, display_names, descriptions, prices, currencies]).await?;
        rows.iter().map(catalogue::read).collect()
    }
}

fn import(row: &Row, rejections: Vec<Rejection>) -> Result<Import, StoreError> {
    let state = match row.get("state")? {
        "running" => State::Running,
        "completed" => State::Completed,
        "broken_off" => State::BrokenOff,
        other => {
            return Err(StoreError::new(
                ErrorKind::Other,
                format!("unknown import state {other:?}; known are running, completed and broken_off"),
            ));
        }
    };
    let counts = ImportCounts {
        received: row.get("received")?,
        created: row.get("created")?,
        updated: row.get("updated")?,
        unchanged: row.get("unchanged")?,
        rejected: row.get("rejected")?,
    };
    let (created_at, ended_at) = (row.get("created_at")?, row.get("ended_at")?);
    Ok(Import { id: row.get("id")?, state, counts, rejections, created_at, ended_at })
}

fn rejection(row: &Row) -> Result<Rejection, StoreError> {
    Ok(Rejection {
        line: row.get("line")?,
        product_id: row.get("product_id")?,
        field: row.get("field")?,
        reason: row.get("reason")?,
        description: row.get("description")?,
    })
}

fn word(state: State) -> &'static str {
    match state {
        State::Running => "running",
        State::Completed => "completed",
        State::BrokenOff => "broken_off",
    }
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
