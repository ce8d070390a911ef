//! What becomes of a connection's calls, as far as it tells good clients from others.
//!
//! Each call is in flight from its headers to when its answer is out. While it is, it is either our turn (the answer is in
//! the making, or a stream has nothing to say) or the client's (a frame waits to be taken). A client that
//! leaves an answer untaken too long has stalled; one that breaks off call after call (HTTP/2 rapid reset) is abusive;
//! a connection without a call for long is idle.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::Instant;

/// Over which time broken calls are counted.
const WINDOW: Duration = Duration::from_secs(10);

/// How long, and how often.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// With a connection without a call.
    pub idle: Duration,
    /// With an answer that isn't taken.
    pub untaken: Duration,
    /// Calls that may be broken off within ten seconds.
    pub broken: u32,
}

/// What is wrong with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Idle,
    Stalled,
}

#[derive(Debug, Clone, Copy)]
enum Turn {
    Nobody,
    Ours,
    Client(Instant),
}

/// The calls of one connection.
#[derive(Debug)]
pub struct Watch {
    patience: Patience,
    abused: AtomicBool,
    calls: Mutex<Calls>,
}

#[derive(Debug)]
struct Calls {
    turns: Vec<Turn>,
    free: Vec<usize>,
    /// When the last call ended.
    quiet_since: Instant,
    broken: u32,
    window: Instant,
}

impl Watch {
    /// A connection without calls.
    pub fn new(patience: Patience) -> Arc<Self> {
        let now = Instant::now();
        let calls = Calls { turns: Vec::new(), free: Vec::new(), quiet_since: now, broken: 0, window: now };
        Arc::new(Self { patience, abused: AtomicBool::new(false), calls: Mutex::new(calls) })
    }

    /// A call has come.
    pub fn begin(self: &Arc<Self>) -> Flight {
        let mut calls = self.calls.lock();
        let slot = calls.free.pop().unwrap_or(calls.turns.len());
        if slot == calls.turns.len() {
            calls.turns.push(Turn::Nobody);
        }
        calls.turns[slot] = Turn::Ours;
        drop(calls);
        Flight { watch: Arc::clone(self), slot, ended: false }
    }

    /// Whether the client breaks off too many calls. Asked at every turn of the connection, so it costs next to nothing.
    pub fn is_abused(&self) -> bool {
        self.abused.load(Ordering::Relaxed)
    }

    /// What is wrong by now.
    pub fn fault(&self, now: Instant) -> Option<Fault> {
        let calls = self.calls.lock();
        if calls.free.len() == calls.turns.len() {
            return (now.duration_since(calls.quiet_since) >= self.patience.idle).then_some(Fault::Idle);
        }
        let untaken =
            |turn: &Turn| matches!(turn, Turn::Client(since) if now.duration_since(*since) >= self.patience.untaken);
        calls.turns.iter().any(untaken).then_some(Fault::Stalled)
    }

    /// How often to ask for faults: none is found later than a quarter of the patience too late.
    pub fn round(&self) -> Duration {
        (self.patience.idle.min(self.patience.untaken) / 4).clamp(Duration::from_millis(5), WINDOW)
    }
}

/// A call in flight. Dropped before its end, the client has broken it off.
#[derive(Debug)]
pub struct Flight {
    watch: Arc<Watch>,
    slot: usize,
    ended: bool,
}

impl Flight {
    fn turn(&self, turn: Turn) {
        if let Some(slot) = self.watch.calls.lock().turns.get_mut(self.slot) {
            *slot = turn;
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut calls = self.watch.calls.lock();
        if let Some(slot) = calls.turns.get_mut(self.slot) {
            *slot = Turn::Nobody;
        }
        calls.free.push(self.slot);
        calls.quiet_since = now;
        if self.ended {
            return;
        }
        if now.duration_since(calls.window) > WINDOW {
            calls.window = now;
            calls.broken = 0;
        }
        calls.broken += 1;
        if calls.broken > self.watch.patience.broken {
            self.watch.abused.store(true, Ordering::Relaxed);
        }
    }
}

/// An answer on its way to the client. It is in flight until it is dropped: the last frame may wait for the client's leave
/// to be sent.
#[derive(Debug)]
pub struct Answer<B> {
    inner: B,
    flight: Flight,
}

impl<B: Body> Answer<B> {
    /// Follows `inner`, the answer of `flight`.
    pub fn new(inner: B, flight: Flight) -> Self {
        let mut answer = Self { inner, flight };
        // Nobody asks an empty body for its frames.
        answer.flight.ended = answer.inner.is_end_stream();
        answer.flight.turn(Turn::Client(Instant::now()));
        answer
    }
}

impl<B: Body + Unpin> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        match &polled {
            Poll::Pending => self.flight.turn(Turn::Ours),
            Poll::Ready(frame) => {
                // Nobody asks for more after trailers, nor after a last frame that says so.
                let more = frame.as_ref().is_some_and(|frame| frame.as_ref().is_ok_and(Frame::is_data));
                self.flight.ended = !more || self.inner.is_end_stream();
                self.flight.turn(Turn::Client(Instant::now()));
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::FutureExt as _;
    use http_body_util::{BodyExt as _, Empty, Full, StreamBody};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn watch() -> Arc<Watch> {
        Watch::new(Patience { idle: 60 * SECOND, untaken: 30 * SECOND, broken: 3 })
    }

    #[tokio::test]
    async fn a_connection_without_a_call_is_idle_in_time_and_one_with_a_slow_answer_never() {
        let watch = watch();
        let now = Instant::now();
        assert_eq!(watch.fault(now + 59 * SECOND), None);
        assert_eq!(watch.fault(now + 61 * SECOND), Some(Fault::Idle));
        let flight = watch.begin();
        assert_eq!(watch.fault(now + 600 * SECOND), None, "we are at work");
        drop(Answer::new(Empty::<Bytes>::new(), flight));
        assert_eq!(watch.fault(now + 600 * SECOND), Some(Fault::Idle));
    }

    #[tokio::test]
    async fn an_answer_that_is_not_taken_has_stalled_and_a_silent_stream_has_not() {
        let watch = watch();
        let later = Instant::now() + 31 * SECOND;
        let frames = futures::stream::iter([Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from_static(b"x")))]);
        let silent = futures::StreamExt::chain(frames, futures::stream::pending());
        let mut answer = Answer::new(StreamBody::new(silent), watch.begin());
        assert_eq!(watch.fault(later), Some(Fault::Stalled), "the headers wait");
        assert!(answer.frame().await.is_some());
        assert_eq!(watch.fault(later), Some(Fault::Stalled), "a frame waits");
        assert!(answer.frame().now_or_never().is_none());
        assert_eq!(watch.fault(later), None, "there is nothing to take");
        let mut whole = Answer::new(Full::new(Bytes::from_static(b"x")), watch.begin());
        assert!(whole.frame().await.is_some());
        assert_eq!(watch.fault(later), Some(Fault::Stalled), "the last frame waits");
        drop(whole);
        assert_eq!(watch.fault(later), None);
    }

    #[tokio::test]
    async fn calls_broken_off_are_abuse_and_calls_that_end_are_not() {
        let watch = watch();
        for _ in 0..100 {
            let answer = Answer::new(Full::new(Bytes::from_static(b"x")), watch.begin());
            answer.collect().await.unwrap();
            let trailers = futures::stream::iter([Ok::<_, std::convert::Infallible>(Frame::<Bytes>::trailers(
                http::HeaderMap::new(),
            ))]);
            let mut answer = Answer::new(
                StreamBody::new(futures::StreamExt::chain(trailers, futures::stream::pending())),
                watch.begin(),
            );
            assert!(answer.frame().await.is_some());
        }
        assert!(!watch.is_abused());
        for _ in 0..3 {
            drop(watch.begin());
        }
        assert!(!watch.is_abused());
        drop(Answer::new(Full::new(Bytes::from_static(b"x")), watch.begin()));
        assert!(watch.is_abused());
        assert_eq!(watch.calls.lock().turns.len(), 1, "places are used again");
    }
}
