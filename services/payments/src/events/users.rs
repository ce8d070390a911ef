//! The consumer `payments-identity`: opens accounts for new users and closes those of deleted users, in whatever order
//! the events arrive.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use flotilla_messaging::{Claim, Event, Handler, HandlerError, Outcome, Registry};
use flotilla_money::Currency;
use flotilla_postgres::Tx;
use uuid::Uuid;

use crate::{account_waits::AccountWaits, storage::Accounts};

/// The effect of an event on an account.
#[derive(Clone, Copy, Debug)]
pub enum UserEvent {
    /// It opens.
    Created(Uuid),
    /// It closes.
    Deleted(Uuid),
}

/// Follows identity's users.
pub struct UserEvents {
    registry: Registry<Option<UserEvent>>,
    currency: Currency,
    account_waits: Arc<AccountWaits>,
}

impl UserEvents {
    /// Creates the handler: new accounts get this currency, and `account_waits` notifies the calls that wait for them.
    pub fn new(currency: Currency, account_waits: Arc<AccountWaits>) -> Self {
        Self { registry: super::users(), currency, account_waits }
    }
}

#[async_trait]
impl Handler<Tx> for UserEvents {
    fn knows(&self, kind: &str) -> bool {
        self.registry.knows(kind)
    }

    /// Idempotent: an account opens once and closes once.
    fn claims(&self) -> Claim {
        Claim::Frame
    }

    async fn handle(&self, tx: &mut Tx, events: &[Event]) -> Result<Vec<Outcome>, HandlerError> {
        let (mut opened, mut closed) = (BTreeSet::new(), BTreeSet::new());
        let outcomes = events
            .iter()
            .map(|event| {
                match self.registry.read(event) {
                    Ok(Some(UserEvent::Created(user))) => _ = opened.insert(user),
                    Ok(None) => {}
                    Ok(Some(UserEvent::Deleted(user))) => _ = closed.insert(user),
                    Err(reason) => return Outcome::DeadLetter(reason),
                }
                Outcome::Done(Vec::new())
            })
            .collect();
        let opened: Vec<_> = opened.into_iter().collect();
        let closed: Vec<_> = closed.into_iter().collect();
        Accounts::open(tx, &opened, self.currency).await?;
        Accounts::close(tx, &closed, self.currency).await?;
        if !opened.is_empty() {
            self.account_waits.hint();
        }
        Ok(outcomes)
    }
}
