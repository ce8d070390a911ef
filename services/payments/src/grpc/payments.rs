//! `PaymentService`: customers see only their own account; operators see all accounts and add money.

use std::{sync::Arc, time::Duration};

use flotilla_auth::Caller;
use flotilla_clock::Ids;
use flotilla_listing::page;
use flotilla_listing::{Field, Schema};
use flotilla_postgres::retry;
use flotilla_proto::payments::v1::{
    Account, GetAccountRequest, ListPostingsRequest, ListPostingsResponse, TopUpAccountRequest,
    payment_service_server::PaymentService,
};
use flotilla_rpc::{Deadline, caller};
use flotilla_service::PageKey;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{convert, request};
use crate::{
    account_waits::AccountWaits,
    domain::{TopUpRefusal, may_still_open},
    error::Error,
    storage::{AccountView, Accounts, Statement},
    top_up::TopUps,
};

const PAGE: u32 = 50;
const MAX_PAGE: u32 = 1_000;
/// Maximum wait for an account or for the database.
const PATIENCE: Duration = Duration::from_secs(8);
/// Time reserved before the deadline for the response after an unsuccessful wait.
const RESERVE: Duration = Duration::from_millis(200);

/// The fields that account statements filter and sort by. Ids of transfers are ordered by time.
static POSTINGS: Schema = Schema {
    key: Field::uuid_name("name", "p.transfer_id", "postings").internal(),
    fields: &[
        Field::choice(
            "kind",
            "p.kind",
            "TRANSFER_KIND_",
            &[("TOP_UP", "top_up"), ("CHARGE", "charge"), ("REFUND", "refund")],
        ),
        Field::money("amount", "p.amount_minor", "p.currency").sortable(),
        Field::uuid_name("order", "p.order_id", "orders"),
        Field::timestamp("create_time", "p.created_at").sortable(),
    ],
    order: "name desc",
};

/// The service.
pub struct PaymentApi {
    accounts: Accounts,
    statement: Statement,
    top_ups: TopUps,
    account_waits: Arc<AccountWaits>,
    page_key: PageKey,
    ids: Ids,
}

impl PaymentApi {
    /// Creates the service on the tables; `page_key` signs the page tokens, `ids` provides the clock.
    pub fn new(
        accounts: Accounts,
        statement: Statement,
        top_ups: TopUps,
        account_waits: Arc<AccountWaits>,
        page_key: PageKey,
        ids: Ids,
    ) -> Self {
        Self { accounts, statement, top_ups, account_waits, page_key, ids }
    }

    /// Reads are retried while the database is unavailable: a failover within the deadline isn't an error.
    async fn read(&self, customer: Uuid, caller: Caller, patience: Duration) -> Result<Option<AccountView>, Error> {
        let read = if caller.is_operator() {
            retry(patience, || self.accounts.get(customer)).await
        } else {
            retry(patience, || self.accounts.get_own(customer)).await
        };
        Ok(read?)
    }

    async fn get(&self, customer: Uuid, caller: Caller, patience: Duration) -> Result<AccountView, Error> {
        may_see(caller, customer)?;
        if let Some(account) = self.read(customer, caller, patience).await? {
            return Ok(account);
        }
        self.arrival(customer, patience).await?;
        self.read(customer, caller, patience).await?.ok_or(Error::NotFound(customer))
    }

    async fn add(&self, request: TopUpAccountRequest, patience: Duration) -> Result<AccountView, Error> {
        let top_up = request::top_up(request)?;
        let customer = top_up.customer;
        match self.top_ups.submit(top_up.clone()).await {
            Err(Error::TopUp(_, TopUpRefusal::UnknownAccount)) => {
                self.arrival(customer, patience).await?;
                self.top_ups.submit(top_up).await?;
            }
            outcome => outcome?,
        }
        let account = retry(patience, || self.accounts.get(customer)).await?;
        account.ok_or(Error::NotFound(customer))
    }

    async fn list(
        &self,
        request: ListPostingsRequest,
        caller: Caller,
        patience: Duration,
    ) -> Result<ListPostingsResponse, Error> {
        let customer = request::account("parent", &request.parent)?;
        let size = page::size(request.page_size, PAGE, MAX_PAGE)?;
        let listing = POSTINGS.parse(&request.filter, &request.order_by)?;
        let tokens = retry(patience, || self.page_key.tokens()).await?;
        let page = listing.page(tokens, &["ListPostings", &request.parent], &request.page_token, size)?;
        may_see(caller, customer)?;
        let found = if caller.is_operator() {
            retry(patience, || self.statement.list(customer, &page)).await
        } else {
            retry(patience, || self.statement.list_own(customer, &page)).await
        };
        let (postings, next_page_token) = found?.ok_or(Error::NotFound(customer))?;
        let postings = postings.iter().map(|posting| convert::posting(customer, posting)).collect();
        Ok(ListPostingsResponse { postings, next_page_token })
    }

    /// Waits for the account if the user is new; an older user without an account has none.
    async fn arrival(&self, customer: Uuid, patience: Duration) -> Result<(), Error> {
        if !may_still_open(customer, self.ids.now()) {
            return Err(Error::NotFound(customer));
        }
        if self.account_waits.wait(customer, patience).await { Ok(()) } else { Err(Error::NotYet(customer)) }
    }
}

/// Customers see only their own account and can't learn whether others exist.
fn may_see(caller: Caller, customer: Uuid) -> Result<(), Error> {
    if caller.is_operator() || caller.user == customer { Ok(()) } else { Err(Error::NotFound(customer)) }
}

/// How long a call may wait.
fn patience() -> Duration {
    Deadline::at_most(PATIENCE + RESERVE).saturating_sub(RESERVE)
}

#[tonic::async_trait]
impl PaymentService for PaymentApi {
    async fn get_account(&self, request: Request<GetAccountRequest>) -> Result<Response<Account>, Status> {
        let (caller, patience) = (caller(&request)?, patience());
        let customer = request::account("name", &request.get_ref().name)?;
        Ok(Response::new(convert::account(&self.get(customer, caller, patience).await?)))
    }

    async fn top_up_account(&self, request: Request<TopUpAccountRequest>) -> Result<Response<Account>, Status> {
        let patience = patience();
        Ok(Response::new(convert::account(&self.add(request.into_inner(), patience).await?)))
    }

    async fn list_postings(
        &self,
        request: Request<ListPostingsRequest>,
    ) -> Result<Response<ListPostingsResponse>, Status> {
        let (caller, patience) = (caller(&request)?, patience());
        Ok(Response::new(self.list(request.into_inner(), caller, patience).await?))
    }
}
