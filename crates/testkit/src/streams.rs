//! Streams of services that a test simulates, created and published to as their relays do, without a database.

use async_nats::HeaderMap;
use async_nats::jetstream::{self, stream};
use flotilla_clock::Ids;
use flotilla_messaging::Event;
use flotilla_messaging::frame::{FRAMES_HEADER, Frame, FrameBuilder, FramePart, write_frames};

/// Events per frame; few, so that many events need several frames.
const FRAME: usize = 64;
/// Source of the events.
const SOURCE: &str = "/flotilla/tests";

/// The broker as the simulated services use it.
#[derive(Debug, Clone)]
pub struct Streams(jetstream::Context);

impl Streams {
    /// Connects to the server and account that `url` names.
    ///
    /// # Panics
    /// It can't be reached.
    pub async fn connect(url: &str) -> Self {
        Self(jetstream::new(crate::nats_client(url).await))
    }

    /// Creates a stream.
    ///
    /// # Panics
    /// The broker refuses.
    pub async fn create(&self, name: &str, subjects: &[&str]) {
        let subjects = subjects.iter().map(|&subject| subject.to_owned()).collect();
        let config = stream::Config { name: name.to_owned(), subjects, ..stream::Config::default() };
        self.0.create_stream(config).await.unwrap();
    }

    /// A stream.
    ///
    /// # Errors
    /// It doesn't exist, or the broker doesn't respond.
    pub async fn get(&self, name: &str) -> Result<stream::Stream, jetstream::context::GetStreamError> {
        self.0.get_stream(name).await
    }

    /// Publishes events in frames, each under its subject, and waits until they are stored. Each call makes new frames.
    ///
    /// # Panics
    /// The broker doesn't accept them.
    pub async fn publish(&self, events: &[Event]) {
        let ids = Ids::system();
        for chunk in events.chunks(FRAME) {
            let mut builder = FrameBuilder::new(SOURCE, &ids, usize::MAX);
            chunk.iter().for_each(|event| builder.add(event).unwrap());
            for Frame { id, subject, payload, .. } in builder.finish() {
                let mut headers = HeaderMap::new();
                headers.insert(FRAMES_HEADER, write_frames(&[FramePart { id, bytes: payload.len() }]));
                self.0.publish_with_headers(subject, headers, payload).await.unwrap().await.unwrap();
            }
        }
    }
}
