//! A bidirectional feed: the client subscribes and acknowledges the deliveries that it has shown; unacknowledged ones
//! are redelivered in its next feed.
//!
//! At most one window of notices is open at a time, so that a client that never acknowledges costs one window of memory
//! and gets no more until it does.

use std::collections::VecDeque;
use std::time::Duration;

use flotilla_postgres::{FAILOVER, retry};
use flotilla_proto::notification::v1::subscribe_request::Command;
use flotilla_proto::notification::v1::subscribe_response::Event;
use flotilla_proto::notification::v1::{
    Acknowledgement, Notice, SubscribeRequest, SubscribeResponse, Subscription as Wish,
};
use flotilla_rpc::{invalid, name};
use futures::{Stream, TryStreamExt as _, stream};
use tokio::time::Instant;
use tonic::{Status, Streaming};
use uuid::Uuid;

use super::convert;
use super::live::Pauses;
use crate::domain::window::Window;
use crate::error::Error;
use crate::feed::Listener;
use crate::storage::{Feeds, Recorded, Wanted};

/// Maximum wait for the first request.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The error for a client that sends something else first.
const MISSING_SUBSCRIPTION: &str = "the first request must have a subscription";

/// How long a feed may stay open.
pub struct Bounds {
    /// When the token expires.
    pub expires: Instant,
    /// When the call must end.
    pub deadline: Option<Instant>,
}

/// A bidirectional feed.
pub struct Subscription {
    commands: Streaming<SubscribeRequest>,
    feeds: Feeds,
    listener: Listener,
    page: u32,
    bounds: Bounds,
    /// Deadline for the subscription.
    patience: Instant,
    /// `None` until the subscription has arrived.
    window: Option<Window>,
    /// A subscription to be confirmed.
    confirm: Option<Wish>,
    /// All deliveries up to this sequence were examined.
    after: i64,
    /// Deliveries that were read but not sent yet.
    ready: VecDeque<(Recorded, i32)>,
}

/// The next action of a feed.
enum Step {
    Send(Box<SubscribeResponse>),
    Take(Option<SubscribeRequest>),
}

impl Subscription {
    /// Creates a feed that reads `page` deliveries at a time.
    pub fn new(
        commands: Streaming<SubscribeRequest>,
        feeds: Feeds,
        listener: Listener,
        page: u32,
        bounds: Bounds,
    ) -> Self {
        let patience = Instant::now() + FIRST_REQUEST_TIMEOUT;
        let (window, confirm, after, ready) = (None, None, 0, VecDeque::new());
        Self { commands, feeds, listener, page, bounds, patience, window, confirm, after, ready }
    }

    /// The feed as a stream of responses. It ends when the client has closed its side, or with an error that tells the
    /// client what to do next.
    pub fn into_stream(self) -> impl Stream<Item = Result<SubscribeResponse, Status>> + Send + 'static {
        stream::try_unfold(self, |mut feed| async move { Ok(feed.next().await?.map(|response| (response, feed))) })
            .map_err(|error: Error| error.into())
    }

    async fn next(&mut self) -> Result<Option<SubscribeResponse>, Error> {
        loop {
            if let Some(wish) = self.confirm.take() {
                return Ok(Some(SubscribeResponse { event: Some(Event::Subscription(wish)) }));
            }
            match self.step().await? {
                Step::Send(response) => return Ok(Some(*response)),
                Step::Take(Some(request)) => self.apply(request).await?,
                Step::Take(None) => return Ok(None),
            }
        }
    }

    async fn step(&mut self) -> Result<Step, Error> {
        let Self { commands, feeds, listener, page, bounds, patience, window, after, ready, .. } = self;
        let overdue = async {
            match bounds.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let sent = async {
            match window {
                Some(window) => notice(feeds, listener, window, *page, after, ready).await,
                None => {
                    tokio::time::sleep_until(*patience).await;
                    Err(invalid("subscription", MISSING_SUBSCRIPTION).into())
                }
            }
        };
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(bounds.expires) => Err(Error::TokenExpired),
            () = overdue => Err(Error::DeadlineExceeded),
            command = commands.message() => command.map(Step::Take).map_err(Error::Stream),
            sent = sent => Ok(Step::Send(Box::new(sent?))),
        }
    }

    async fn apply(&mut self, request: SubscribeRequest) -> Result<(), Error> {
        match (request.command, &mut self.window) {
            (Some(Command::Subscription(wish)), window) => {
                let (kinds, most) =
                    (convert::kinds(&wish.kinds), usize::try_from(wish.max_unacknowledged).unwrap_or(0));
                let window = window.get_or_insert_default();
                window.change(&kinds, most);
                self.confirm = Some(Wish {
                    kinds: convert::wire_kinds(window.kinds()),
                    max_unacknowledged: i32::try_from(window.most()).unwrap_or(i32::MAX),
                });
                // Deliveries skipped under the old subscription may be requested now.
                self.after = 0;
                self.ready.clear();
            }
            (Some(Command::Acknowledgement(acknowledgement)), Some(window)) => {
                let acknowledged = window.acknowledge(&ids(&acknowledgement)?);
                if !acknowledged.is_empty() {
                    let customer = self.listener.customer();
                    retry(FAILOVER, || self.feeds.acknowledge(customer, &acknowledged)).await?;
                }
            }
            (Some(Command::Acknowledgement(_)), None) => {
                return Err(invalid("subscription", MISSING_SUBSCRIPTION).into());
            }
            (None, _) => return Err(invalid("command", "must be set").into()),
        }
        Ok(())
    }
}

/// The next notice to send, once there is one and room for it. Cancel-safe: deliveries that were read are in `ready`,
/// or will be read again.
async fn notice(
    feeds: &Feeds,
    listener: &mut Listener,
    window: &mut Window,
    page: u32,
    after: &mut i64,
    ready: &mut VecDeque<(Recorded, i32)>,
) -> Result<SubscribeResponse, Error> {
    let mut pauses = Pauses::default();
    loop {
        if window.room() == 0 {
            // Only an acknowledgement makes room in the window, and it ends this wait; a changed server run also ends
            // it, because open deliveries may be lost.
            if listener.beyond(i64::MAX).await {
                begin_again(window, after, ready);
            }
            continue;
        }
        while let Some((recorded, attempt)) = ready.pop_front() {
            if window.send(recorded.id, recorded.sequence) {
                let notice = Notice { delivery: Some(convert::delivery(recorded)), attempt };
                return Ok(SubscribeResponse { event: Some(Event::Notice(notice)) });
            }
            let open = [(recorded.sequence, recorded.id)];
            retry(FAILOVER, || feeds.acknowledge(listener.customer(), &open)).await?;
        }
        // Everything visible now is also visible to the page that is read next: sequences become visible in order.
        let last = retry(FAILOVER, || feeds.last_visible(listener.customer())).await?;
        if last > *after {
            let limit = page.min(u32::try_from(window.room()).unwrap_or(u32::MAX));
            let open = window.open();
            let wanted = Wanted { after: *after, kinds: window.kinds(), open: &open };
            let found = retry(FAILOVER, || feeds.show(listener.customer(), wanted, limit)).await?;
            *after = match found.last() {
                Some((last, _)) if found.len() == limit as usize => last.sequence,
                _ => last,
            };
            ready.extend(found);
            continue;
        }
        if listener.beyond(*after).await {
            begin_again(window, after, ready);
            continue;
        }
        pauses.next().await;
    }
}

/// The server run changed: deliveries that were read may be lost, and their sequences may have been assigned to others.
fn begin_again(window: &mut Window, after: &mut i64, ready: &mut VecDeque<(Recorded, i32)>) {
    *after = 0;
    ready.clear();
    window.begin_again();
}

/// The acknowledged deliveries.
fn ids(acknowledgement: &Acknowledgement) -> Result<Vec<Uuid>, Error> {
    let id = |value: &String| name::parse_uuid("acknowledgement.deliveries", "notifications", value);
    Ok(acknowledgement.deliveries.iter().map(id).collect::<Result<_, _>>()?)
}
