//! `WatchOrder`: the present state, then each one that is seen, until the order ends.
//!
//! The resume token is the order's version: a client that comes back with it gets nothing twice. States that follow
//! each other more quickly than they can be read come as one.

use flotilla_proto::orders::v1::{WatchOrderRequest, WatchOrderResponse};
use flotilla_rpc::{Caller, invalid};
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

/// Where a stream is.
struct Watching {
    reader: Reader,
    scope: Scope,
    id: Uuid,
    watch: Watch,
    /// The last version told.
    seen: i64,
    /// Read and not yet told.
    present: Option<Order>,
    over: bool,
}

/// Starts a stream; not found is an error of the call itself.
pub async fn watch(
    api: &OrderApi,
    caller: &Caller,
    request: &WatchOrderRequest,
) -> Result<BoxStream<'static, Result<WatchOrderResponse, Status>>, Error> {
    let id = order_id(&request.name)?;
    let seen = resume(&request.resume_token)?;
    let scope = scope(caller);
    let mut watching = Watching {
        reader: api.reader.clone(),
        scope,
        id,
        // Before the order is read, so that no change falls between.
        watch: api.watches.watch(caller.user, id)?,
        seen,
        present: None,
        over: false,
    };
    watching.present = Some(api.find(scope, id).await?);
    Ok(stream::unfold(watching, |mut watching| async { watching.next().await.map(|item| (item, watching)) }).boxed())
}

/// The version in a resume token.
fn resume(token: &str) -> Result<i64, Error> {
    if token.is_empty() {
        return Ok(0);
    }
    token
        .parse()
        .ok()
        .filter(|version| *version > 0)
        .ok_or_else(|| invalid("resume_token", "is not a token of this stream").into())
}

impl Watching {
    async fn next(&mut self) -> Option<Result<WatchOrderResponse, Status>> {
        while !self.over {
            if let Some(order) = self.present.take() {
                self.over = order.has_ended();
                if order.version > self.seen {
                    self.seen = order.version;
                    return Some(Ok(response(order)));
                }
                continue;
            }
            self.watch.changed().await;
            match self.reader.get(self.scope, self.id).await {
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
    let resume_token = order.version.to_string();
    WatchOrderResponse { order: Some(convert::order(order)), resume_token }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resume_token_is_a_version() {
        assert_eq!(resume("").unwrap(), 0);
        assert_eq!(resume("3").unwrap(), 3);
        for token in ["0", "-1", "x", "3 ", "99999999999999999999"] {
            assert!(resume(token).is_err(), "{token}");
        }
    }
}
