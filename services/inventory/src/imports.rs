//! Runs imports: a stream's rows are collected into chunks; if a stream ends early for any reason, a worker applies the
//! remaining rows and closes the import.
//!
//! Guarantees: at most one chunk of rows per import is in memory; further rows are read once the chunk is committed;
//! every started import ends as completed or as interrupted.

use flotilla_rpc::RpcError;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use crate::domain::import::{Import, Item, State};
use crate::error::Error;
use crate::storage::{Imports, Run};

/// Maximum number of interrupted imports that wait for the worker; further ones are closed by their timeout.
const MAX_BROKEN: usize = 256;

/// An import whose stream was interrupted, with the rows that weren't applied.
#[derive(Debug)]
pub struct BrokenImport {
    run: Run,
    items: Vec<Item>,
}

/// An import run by a stream. If it is dropped before it is complete, [`BrokenImportWorker`] closes it.
pub struct RunningImport {
    imports: Imports,
    broken: mpsc::Sender<BrokenImport>,
    run: Option<Run>,
    items: Vec<Item>,
}

impl RunningImport {
    /// The line of the next row, from 1.
    #[must_use]
    pub fn line(&self) -> i64 {
        let gathered = i64::try_from(self.items.len()).unwrap_or(i64::MAX);
        self.run.as_ref().map_or(0, |run| run.received) + gathered + 1
    }

    /// Collected rows that aren't applied yet.
    #[must_use]
    pub fn gathered(&self) -> usize {
        self.items.len()
    }

    /// Collects a row.
    pub fn gather(&mut self, item: Item) {
        self.items.push(item);
    }

    /// Applies the collected rows.
    ///
    /// # Errors
    /// Another stream has taken over the import, or the database failed.
    pub async fn apply(&mut self) -> Result<(), Error> {
        let Some(run) = &mut self.run else { return Ok(()) };
        self.imports.apply(run, &self.items).await?;
        self.items.clear();
        Ok(())
    }

    /// Completes the import: all rows have arrived.
    ///
    /// # Errors
    /// Another stream has taken over the import, or the database failed.
    pub async fn complete(mut self) -> Result<Import, Error> {
        self.apply().await?;
        let Some(run) = &self.run else { return Err(Error::Rpc(RpcError::internal())) };
        let ended = self.imports.end(run, State::Completed).await?;
        let ended = ended.ok_or_else(|| Error::ImportTaken(run.id.clone()))?;
        self.run = None;
        Ok(ended)
    }
}

impl Drop for RunningImport {
    fn drop(&mut self) {
        if let Some(run) = self.run.take() {
            let left = BrokenImport { run, items: std::mem::take(&mut self.items) };
            if let Err(error) = self.broken.try_send(left) {
                tracing::warn!(error = %error, "interrupted import will be closed by its timeout");
            }
        }
    }
}

/// Starts imports and reads them.
#[derive(Clone)]
pub struct ImportStarter {
    imports: Imports,
    broken: mpsc::Sender<BrokenImport>,
}

impl ImportStarter {
    /// Begins an import; a new one if no id is given.
    ///
    /// # Errors
    /// Another stream is running the import, or the database failed.
    pub async fn begin(&self, id: Option<String>, by: uuid::Uuid) -> Result<RunningImport, Error> {
        let run = self.imports.begin(id, by).await?;
        Ok(RunningImport {
            imports: self.imports.clone(),
            broken: self.broken.clone(),
            run: Some(run),
            items: Vec::new(),
        })
    }

    /// The current state of an import.
    ///
    /// # Errors
    /// There is no such import, or the database failed.
    pub async fn get(&self, id: &str) -> Result<Import, Error> {
        self.imports.get(id).await
    }
}

/// Closes imports whose streams were interrupted: applies the rows that arrived and records the end.
pub struct BrokenImportWorker {
    imports: Imports,
    left: mpsc::Receiver<BrokenImport>,
}

impl BrokenImportWorker {
    /// Creates the starter of imports and the worker for interrupted ones.
    #[must_use]
    pub fn new(imports: Imports) -> (ImportStarter, Self) {
        let (broken, left) = mpsc::channel(MAX_BROKEN);
        (ImportStarter { imports: imports.clone(), broken }, Self { imports, left })
    }

    /// Runs until the shutdown, then handles the remaining imports.
    pub async fn run(mut self, shutdown: CancellationToken) {
        while let Some(Some(left)) = shutdown.run_until_cancelled(self.left.recv()).await {
            self.close(left).await;
        }
        while let Ok(left) = self.left.try_recv() {
            self.close(left).await;
        }
    }

    async fn close(&self, mut left: BrokenImport) {
        let done = async {
            self.imports.apply(&mut left.run, &left.items).await?;
            self.imports.end(&left.run, State::BrokenOff).await
        };
        match done.await {
            Ok(_) => tracing::info!(import = left.run.id, rows = left.run.received, "import interrupted"),
            // Taken over by another stream, or closed by its timeout.
            Err(error) => tracing::warn!(import = left.run.id, error = %error, "interrupted import not closed"),
        }
    }
}

/// The error when too many imports are running.
#[must_use]
pub fn busy() -> RpcError {
    RpcError::new(Code::ResourceExhausted, "IMPORTS_BUSY", "too many imports are running")
        .retry_after(std::time::Duration::from_secs(1))
}
