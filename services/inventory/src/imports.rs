//! Running imports: a stream's rows gather into chunks, and a stream that ends early, however it does, leaves what it
//! had to the worker that closes broken imports.
//!
//! Guarantees: no more than a chunk of rows is in memory for each import; the next rows are read when the chunk is
//! committed; every import that began ends as completed or as broken off.

use flotilla_rpc::RpcError;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use crate::domain::import::{Import, Item, State};
use crate::error::Error;
use crate::storage::{Imports, Run};

/// Maximum number of broken imports that wait for the worker; further ones are closed by their timeout.
const MAX_BROKEN: usize = 256;

/// An import whose stream broke off, with the rows that weren't applied.
#[derive(Debug)]
pub struct BrokenImport {
    run: Run,
    items: Vec<Item>,
}

/// An import that a stream works on. If it is dropped before it is complete, [`BrokenImportWorker`] closes it.
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

    /// Rows gathered and not applied yet.
    #[must_use]
    pub fn gathered(&self) -> usize {
        self.items.len()
    }

    /// Gathers a row.
    pub fn gather(&mut self, item: Item) {
        self.items.push(item);
    }

    /// Applies what was gathered.
    ///
    /// # Errors
    /// Another stream works on the import, or the database's.
    pub async fn apply(&mut self) -> Result<(), Error> {
        let Some(run) = &mut self.run else { return Ok(()) };
        self.imports.apply(run, &self.items).await?;
        self.items.clear();
        Ok(())
    }

    /// Completes the import: all rows have arrived.
    ///
    /// # Errors
    /// Another stream works on the import, or the database's.
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
                tracing::warn!(error = %error, "broken import is closed only by its timeout");
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
    /// Begins an import, a new one where no id is given.
    ///
    /// # Errors
    /// A stream works on it already, or the database's.
    pub async fn begin(&self, id: Option<String>, by: uuid::Uuid) -> Result<RunningImport, Error> {
        let run = self.imports.begin(id, by).await?;
        Ok(RunningImport {
            imports: self.imports.clone(),
            broken: self.broken.clone(),
            run: Some(run),
            items: Vec::new(),
        })
    }

    /// An import as it stands.
    ///
    /// # Errors
    /// There is none, or the database's.
    pub async fn get(&self, id: &str) -> Result<Import, Error> {
        self.imports.get(id).await
    }
}

/// Closes imports whose streams broke off: applies the rows that arrived and records the end.
pub struct BrokenImportWorker {
    imports: Imports,
    left: mpsc::Receiver<BrokenImport>,
}

impl BrokenImportWorker {
    /// The starter of imports, and the worker for those that break off.
    #[must_use]
    pub fn new(imports: Imports) -> (ImportStarter, Self) {
        let (broken, left) = mpsc::channel(MAX_BROKEN);
        (ImportStarter { imports: imports.clone(), broken }, Self { imports, left })
    }

    /// Works until the shutdown, and then through what is left.
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
            Ok(_) => tracing::info!(import = left.run.id, rows = left.run.received, "import broke off"),
            // Taken over by another stream, or closed by its timeout.
            Err(error) => tracing::warn!(import = left.run.id, error = %error, "broken import not closed"),
        }
    }
}

/// The error while too many imports run.
#[must_use]
pub fn busy() -> RpcError {
    RpcError::new(Code::ResourceExhausted, "IMPORTS_BUSY", "too many imports are running")
        .retry_after(std::time::Duration::from_secs(1))
}
