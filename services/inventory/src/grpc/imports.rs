//! `ImportProducts` and `GetImport`: rows are validated as they arrive and applied in chunks; further rows are read
//! once a chunk is committed.

use std::time::Duration;

use flotilla_money::{Amount, MoneyError};
use flotilla_proto::google::r#type::Money;
use flotilla_proto::inventory::v1::{self, ImportProductsRequest, ImportRow};
use flotilla_proto::requests;
use flotilla_rpc::RpcError;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tonic::{Code, Status, Streaming};
use uuid::Uuid;

use crate::config::ImportSettings;
use crate::domain::import::{Import, Item, Reason, Rejection, Row, State};
use crate::domain::product::ProductId;
use crate::domain::text;
use crate::imports::{ImportStarter, RunningImport, busy};

/// Maximum time that a row waits for others to share its transaction.
const GATHERING: Duration = Duration::from_millis(500);

/// Imports over gRPC.
pub struct ImportApi {
    imports: ImportStarter,
    settings: ImportSettings,
    places: Semaphore,
}

impl ImportApi {
    /// Creates the service with these imports.
    #[must_use]
    pub fn new(imports: ImportStarter, settings: &ImportSettings) -> Self {
        Self { imports, settings: settings.clone(), places: Semaphore::new(settings.concurrent) }
    }

    /// Imports a stream of rows.
    ///
    /// # Errors
    /// An error of the stream; too many rows; too long without a row; another stream on the same import; or the
    /// database's error.
    pub async fn import(&self, by: Uuid, mut rows: Streaming<ImportProductsRequest>) -> Result<v1::Import, Status> {
        let _place = self.places.try_acquire().map_err(|_| busy())?;
        let first = self.next(&mut rows).await?;
        let id = first.as_ref().map(|first| first.import_id.clone()).filter(|id| !id.is_empty());
        let mut import = self.imports.begin(id, by).await?;
        if let Some(first) = first {
            self.take(&mut import, first, &mut rows).await?;
        }
        Ok(answer(import.complete().await?))
    }

    /// The current state of an import.
    ///
    /// # Errors
    /// There is no such import, or the database failed.
    pub async fn get(&self, name: &str) -> Result<v1::Import, Status> {
        let id = flotilla_rpc::name::parse("name", "imports", name)?;
        Ok(answer(self.imports.get(&id).await?))
    }

    /// Reads and applies all rows, starting with the first.
    async fn take(
        &self,
        import: &mut RunningImport,
        first: ImportProductsRequest,
        rows: &mut Streaming<ImportProductsRequest>,
    ) -> Result<(), Status> {
        let (mut request, mut due) = (first, Instant::now());
        loop {
            if import.line() > self.settings.max_rows {
                return Err(self.too_many().into());
            }
            let line = import.line();
            import.gather(validate(line, request));
            if import.gathered() == 1 {
                due = Instant::now() + GATHERING;
            }
            if import.gathered() >= self.settings.chunk {
                import.apply().await.map_err(Status::from)?;
            }
            let next = self.next(rows);
            tokio::pin!(next);
            request = loop {
                tokio::select! {
                    biased;
                    next = &mut next => match next? {
                        Some(request) => break request,
                        None => return Ok(()),
                    },
                    () = tokio::time::sleep_until(due), if import.gathered() > 0 => {
                        import.apply().await.map_err(Status::from)?;
                    }
                }
            };
        }
    }

    async fn next(&self, rows: &mut Streaming<ImportProductsRequest>) -> Result<Option<ImportProductsRequest>, Status> {
        let idle = self.settings.idle.get();
        match tokio::time::timeout(idle, rows.message()).await {
            Ok(next) => next,
            Err(_) => {
                let text = format!("no row came within {} s", idle.as_secs_f64());
                Err(RpcError::new(Code::DeadlineExceeded, "IMPORT_IDLE", text).into())
            }
        }
    }

    fn too_many(&self) -> RpcError {
        let most = self.settings.max_rows;
        RpcError::new(Code::OutOfRange, "IMPORT_TOO_LARGE", format!("an import has at most {most} rows"))
            .metadata("limit", most.to_string())
    }
}

/// Validates a single row.
fn validate(line: i64, request: ImportProductsRequest) -> Item {
    let Some(row) = request.row else {
        return Err(Rejection::new(line, "", "row", Reason::MissingRow, "must be set"));
    };
    let reject = |field: &str, reason, text: String| {
        // The report repeats the sent value, truncated if it is long.
        let product: String = row.product_id.chars().filter(|c| !c.is_control()).take(63).collect();
        Rejection::new(line, &product, field, reason, text)
    };
    if let Some(first) = requests::violations(&row).into_iter().next() {
        return Err(reject(&first.field, Reason::InvalidField, first.description));
    }
    let product = ProductId::parse(&row.product_id)
        .ok_or_else(|| reject("product_id", Reason::InvalidField, "is not a product's id".to_owned()))?;
    let price = price(row.price.as_ref()).map_err(|(field, reason, text)| reject(field, reason, text))?;
    let ImportRow { display_name, description, .. } = &row;
    let given = |text: &String| (!text.is_empty()).then(|| text.clone());
    let (display_name, description) = (given(display_name), given(description));
    for (field, fault) in [
        ("display_name", display_name.as_ref().map(|name| text::required(name))),
        ("description", description.as_ref().map(|lines| text::lines(lines))),
    ] {
        if let Some(Err(fault)) = fault {
            return Err(reject(field, Reason::InvalidText, fault.to_string()));
        }
    }
    Ok(Row { line, product, display_name, description, price })
}

fn price(money: Option<&Money>) -> Result<Amount, (&'static str, Reason, String)> {
    let money = money.cloned().unwrap_or_default();
    let amount = Amount::try_from(&money).map_err(|error| {
        let (field, reason) = match &error {
            MoneyError::UnknownCurrency(_) => ("price.currency_code", Reason::UnknownCurrency),
            MoneyError::Malformed => ("price.nanos", Reason::MalformedPrice),
            MoneyError::TooFine => ("price.nanos", Reason::PriceTooFine),
            MoneyError::TooLarge => ("price.units", Reason::PriceTooLarge),
        };
        (field, reason, error.to_string())
    })?;
    if amount.minor < 0 {
        return Err(("price", Reason::NegativePrice, "must not be negative".to_owned()));
    }
    Ok(amount)
}

/// Converts an import for clients.
fn answer(import: Import) -> v1::Import {
    let state = match import.state {
        State::Running => v1::ImportState::Running,
        State::Completed => v1::ImportState::Completed,
        State::BrokenOff => v1::ImportState::BrokenOff,
    };
    let rejected = |rejection: Rejection| v1::RejectedRow {
        line: rejection.line,
        product_id: rejection.product_id,
        field: rejection.field,
        reason: rejection.reason,
        description: rejection.description,
    };
    v1::Import {
        name: format!("imports/{}", import.id),
        state: state.into(),
        received: import.counts.received,
        created: import.counts.created,
        updated: import.counts.updated,
        unchanged: import.counts.unchanged,
        rejected: import.counts.rejected,
        rejected_rows: import.rejections.into_iter().map(rejected).collect(),
        create_time: Some(import.created_at.into()),
        end_time: import.ended_at.map(Into::into),
    }
}
