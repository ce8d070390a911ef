//! `WatchOrder`: the current state, then each later state that is observed, until the order ends.
//!
//! The resume token identifies the last state sent, so a client that resumes doesn't get it again. If the order is now
//! in any other state, that is sent at once, whether it is a later one or, after a restore, an earlier one. States that
//! follow each other faster than they are read are skipped.

use std::time::UNIX_EPOCH;

use flotilla_auth::Caller;
use flotilla_postgres::{FAILOVER, retry};
use flotilla_proto::orders::v1::{WatchOrderRequest, WatchOrderResponse};
use flotilla_rpc::invalid;
use futures::{StreamExt as _, stream, stream::BoxStream};
use tonic::Status;
use uuid::Uuid;

use super::{
    convert,
    order_service::{OrderApi, order_id, scope},
};
use crate::{
    domain::order::Order,
    error::Error,
    storage::orders::{Reader, Scope},
    watches::Watch,
};

/// The position of a stream.
struct Watching {
    reader: Reader,
    scope: Scope,
    id: Uuid,
    watch: Watch,
    /// The token of the last state sent; empty before the first.
    seen: String,
    /// Read and not yet sent.
    present: Option<Order>,
    over: bool,
}

/// Starts a stream. A missing order fails the call itself.
pub async fn watch(
    api: &OrderApi,
    caller: &Caller,
    request: &WatchOrderRequest,
) -> Result<BoxStream<'static, Result<WatchOrderResponse, Status>>, Error> {
    let id = order_id(&request.name)?;
    let seen = resume(&request.resume_token)?.to_owned();
    let scope = scope(caller);
    let mut watching = Watching {
        reader: api.reader.clone(),
        scope,
        id,
        // Before the order is read, so that no change in between is missed.
        watch: api.watches.watch(caller.user, id)?,
        seen,
        present: None,
        over: false,
    };
    watching.present = Some(api.find(scope, id).await?);
    Ok(stream::unfold(watching, |mut watching| async { watching.next().await.map(|item| (item, watching)) }).boxed())
}

/// The token of a state: its version, and a part that distinguishes it from another state that had this version before
/// a restore, and from those of other orders.
fn token(order: &Order) -> String {
    let reason = order.reason.as_deref().unwrap_or_default();
    let end = order.ended_at.unwrap_or(order.created_at).duration_since(UNIX_EPOCH).map_or(0, |at| at.as_micros());
    format!("{}.{}.{reason}.{end}", order.version, order.state)
}

/// Whether a token matches the order's current state. Tokens of earlier releases hold only the version.
fn is_of(seen: &str, order: &Order) -> bool {
    seen == token(order) || seen.parse() == Ok(order.version)
}

/// Parses a token of any state.
fn resume(token: &str) -> Result<&str, Error> {
    let (version, state) = token.split_once('.').map_or((token, None), |(version, state)| (version, Some(state)));
    let is_version =
        version.bytes().all(|byte| byte.is_ascii_digit()) && version.parse().is_ok_and(|number: i64| number > 0);
    let is_state = |state: &str| {
        let mut parts = state.split('.');
        let is_word = |word: &str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let is_end = |end: &str| !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit());
        parts.next().is_some_and(is_word)
            && parts.next().is_some_and(is_word)
            && parts.next().is_some_and(is_end)
            && parts.next().is_none()
    };
    if token.is_empty() || (is_version && state.is_none_or(is_state)) {
        return Ok(token);
    }
    Err(invalid("resume_token", "is not a resume token of this stream").into())
}

impl Watching {
    async fn next(&mut self) -> Option<Result<WatchOrderResponse, Status>> {
        while !self.over {
            if let Some(order) = self.present.take() {
                self.over = order.has_ended();
                if !is_of(&self.seen, &order) {
                    self.seen = token(&order);
                    return Some(Ok(response(order)));
                }
                continue;
            }
            self.watch.changed().await;
            match retry(FAILOVER, || self.reader.get(self.scope, self.id)).await {
                Ok(order) => self.present = order,
                Err(error) => return Some(Err(self.end(Error::Store(error)))),
            }
        }
        None
    }

    fn end(&mut self, error: Error) -> Status {
        self.over = true;
        error.into()
    }
}

fn response(order: Order) -> WatchOrderResponse {
    let resume_token = token(&order);
    WatchOrderResponse { order: Some(convert::order(order)), resume_token }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use flotilla_money::{Amount, Currency};

    use super::*;

    fn order(state: &str, ended_at: Option<SystemTime>) -> Order {
        Order {
            id: Uuid::nil(),
            customer_id: Uuid::nil(),
            state: state.into(),
            reason: None,
            lines: vec![],
            total: Amount { minor: 1, currency: Currency::parse("USD").unwrap() },
            version: 3,
            created_at: UNIX_EPOCH,
            ended_at,
        }
    }

    #[test]
    fn a_token_is_of_one_state_and_an_old_one_of_its_version() {
        let end = |micros| Some(UNIX_EPOCH + Duration::from_micros(micros));
        let confirmed = order("confirmed", end(7));
        assert_eq!(token(&confirmed), "3.confirmed..7");
        assert!(is_of(&token(&confirmed), &confirmed) && is_of("3", &confirmed));
        for other in [order("charging", None), order("confirmed", end(8)), Order { version: 4, ..confirmed.clone() }] {
            assert!(!is_of(&token(&confirmed), &other), "{other:?}");
        }
        assert!(!is_of("", &confirmed) && !is_of("99", &confirmed));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for fine in ["", "3", "99", "3.charging..0", "5.cancelled.out_of_stock.1790000000000000"] {
            assert_eq!(resume(fine).unwrap(), fine);
        }
        for token in ["0", "-1", "+1", "x", "3 ", "99999999999999999999", "3.", "3.x", "3.x.y.", "3.X..0", "3.x..0.1"] {
            assert!(resume(token).is_err(), "{token}");
        }
    }
}
