//! Connections that are idle, stalled or abused, judged by their calls.

use std::net::Ipv4Addr;

use bytes::Bytes;
use flotilla_rpc::Rate;
use futures::FutureExt as _;
use http_body::Frame;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};

use super::super::answer::Answer;
use super::*;
use crate::admission::RequestMemory;

const SECOND: Duration = Duration::from_secs(1);

/// Where all calls come from.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn activity() -> Arc<Activity> {
    let resets = Arc::new(RateLimiter::new(|| Rate { per_second: 0, burst: 1 }, 1));
    Activity::new(Timeouts { idle: 60 * SECOND, untaken: 30 * SECOND, broken: 3 }, resets)
}

#[tokio::test]
async fn a_connection_without_a_call_becomes_idle_and_one_with_a_slow_response_does_not() {
    let activity = activity();
    let now = Instant::now();
    assert_eq!(activity.fault(now + 59 * SECOND), None);
    assert_eq!(activity.fault(now + 61 * SECOND), Some(Fault::Idle));
    let call = activity.begin(CLIENT);
    assert_eq!(activity.fault(now + 600 * SECOND), None, "we are at work");
    drop(Answer::new(Empty::<Bytes>::new(), call, None));
    assert_eq!(activity.fault(now + 600 * SECOND), Some(Fault::Idle));
}

#[tokio::test]
async fn an_unread_response_is_stalled_and_a_silent_stream_is_not() {
    let activity = activity();
    let later = Instant::now() + 31 * SECOND;
    let frames = futures::stream::iter([Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from_static(b"x")))]);
    let silent = futures::StreamExt::chain(frames, futures::stream::pending());
    let mut answer = Answer::new(StreamBody::new(silent), activity.begin(CLIENT), None);
    assert_eq!(activity.fault(later), Some(Fault::Stalled), "the headers wait");
    assert!(answer.frame().await.is_some());
    assert_eq!(activity.fault(later), Some(Fault::Stalled), "a frame waits");
    assert!(answer.frame().now_or_never().is_none());
    assert_eq!(activity.fault(later), None, "there is nothing to take");
    let mut whole = Answer::new(Full::new(Bytes::from_static(b"x")), activity.begin(CLIENT), None);
    assert!(whole.frame().await.is_some());
    assert_eq!(activity.fault(later), Some(Fault::Stalled), "the last frame waits");
    drop(whole);
    assert_eq!(activity.fault(later), None);
}

#[tokio::test]
async fn a_piece_that_was_passed_on_but_not_written_is_unread() {
    let activity = activity();
    let later = Instant::now() + 31 * SECOND;
    let memory = Some(RequestMemory::unlimited());
    let mut whole = Answer::new(Full::new(Bytes::from_static(b"x")), activity.begin(CLIENT), memory.clone());
    let piece = whole.frame().await.unwrap().unwrap().into_data().unwrap();
    drop(whole);
    assert_eq!(activity.fault(later), Some(Fault::Stalled), "its body is gone, but not its piece");
    assert!(activity.unused_since(later).is_some() && activity.unused_since(Instant::now()).is_none());
    drop(piece);
    assert_eq!(activity.fault(later), None);
    let frames = futures::stream::iter([Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from_static(b"x")))]);
    let silent = futures::StreamExt::chain(frames, futures::stream::pending());
    let mut answer = Answer::new(StreamBody::new(silent), activity.begin(CLIENT), memory);
    let piece = answer.frame().await.unwrap().unwrap();
    assert!(answer.frame().now_or_never().is_none());
    assert_eq!(activity.fault(later), Some(Fault::Stalled), "the stream says nothing more, but its piece waits");
    drop(piece);
    assert_eq!(activity.fault(later), None);
}

#[tokio::test]
async fn cancelled_calls_are_abuse_and_completed_calls_are_not() {
    let activity = activity();
    for _ in 0..100 {
        let answer = Answer::new(Full::new(Bytes::from_static(b"x")), activity.begin(CLIENT), None);
        answer.collect().await.unwrap();
        let trailers = futures::stream::iter([Ok::<_, std::convert::Infallible>(Frame::<Bytes>::trailers(
            http::HeaderMap::new(),
        ))]);
        let mut answer = Answer::new(
            StreamBody::new(futures::StreamExt::chain(trailers, futures::stream::pending())),
            activity.begin(CLIENT),
            None,
        );
        assert!(answer.frame().await.is_some());
    }
    assert!(!activity.is_abused());
    for _ in 0..3 {
        drop(activity.begin(CLIENT));
    }
    assert!(!activity.is_abused());
    drop(Answer::new(Full::new(Bytes::from_static(b"x")), activity.begin(CLIENT), None));
    assert!(activity.is_abused());
    assert_eq!(activity.calls.lock().slots.len(), 1, "places are used again");
}
