//! The replies to commands, and the event about an expired reservation.

use flotilla_clock::Ids;
use flotilla_messaging::{Event, Outcome};
use flotilla_proto::events::Published;
use flotilla_proto::inventory::v1::{ReservationExpired, StockRejected, StockRejection, StockReleased, StockReserved};
use uuid::Uuid;

use crate::domain::product::ProductId;
use crate::domain::reservation::{Rejection, Verdict};

/// Converts the result of a command into the handler's outcome.
#[must_use]
pub fn outcome(ids: &Ids, command: &Event, order: Uuid, verdict: Verdict) -> Outcome {
    let order_id = order.to_string();
    let reply = match verdict {
        Verdict::Reserved { expires_at } => {
            reply(ids, order, &StockReserved { order_id, expire_time: Some(expires_at.into()) })
        }
        Verdict::Rejected { rejection, products } => {
            let product_ids = products.iter().map(ProductId::to_string).collect();
            reply(ids, order, &StockRejected { order_id, rejection: wire(rejection).into(), product_ids })
        }
        Verdict::Released { held } => reply(ids, order, &StockReleased { order_id, held }),
        Verdict::Committed => return Outcome::Done(Vec::new()),
        Verdict::TooEarly(why) => return Outcome::RetryLater(why.to_owned()),
        Verdict::Absurd(why) => return Outcome::DeadLetter(why.to_owned()),
    };
    Outcome::Done(vec![reply.caused_by(command)])
}

/// Asks orders whether to release or commit a reservation; `notice` is the number of the request.
#[must_use]
pub fn expired(ids: &Ids, order: Uuid, notice: i32) -> Event {
    let message = ReservationExpired { order_id: order.to_string() };
    Event::new(ids.next(), &message, order, notice.into(), ids.now())
}

/// A re-sent command gets a reply with the same id, so that consumers recognise it as a duplicate.
fn reply<M: prost::Message + Published>(ids: &Ids, order: Uuid, message: &M) -> Event {
    Event::keyed(order, message, order, 0, ids.now())
}

fn wire(rejection: Rejection) -> StockRejection {
    match rejection {
        Rejection::OutOfStock => StockRejection::OutOfStock,
        Rejection::UnknownProduct => StockRejection::UnknownProduct,
        Rejection::Released => StockRejection::Released,
    }
}
