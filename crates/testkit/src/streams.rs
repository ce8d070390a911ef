//! The streams of services that a test plays: made and written as their relays do, without a database behind them.

use async_nats::jetstream::{self, stream};
use flotilla_messaging::{Event, frame};

/// Events in a frame: few, so that a crowd of them is several frames.
const FRAME: usize = 64;
/// Whom the events come from.
const SOURCE: &str = "/flotilla/tests";

/// The broker as the services that a test plays use it.
#[derive(Debug, Clone)]
pub struct Streams(jetstream::Context);

impl Streams {
    /// Those of the server and account that `url` names.
    ///
    /// # Panics
    /// It can't be reached.
    pub async fn connect(url: &str) -> Self {
        Self(jetstream::new(crate::nats_client(url).await))
    }

    /// Makes a stream.
    ///
    /// # Panics
    /// The broker refuses.
    pub async fn create(&self, name: &str, subjects: &[&str]) {
        let subjects = subjects.iter().map(|&subject| subject.to_owned()).collect();
        let config = stream::Config { name: name.to_owned(), subjects, ..stream::Config::default() };
        self.0.create_stream(config).await.unwrap();
    }

    /// A stream, if it is there.
    ///
    /// # Errors
    /// It isn't, or the broker doesn't answer.
    pub async fn get(&self, name: &str) -> Result<stream::Stream, jetstream::context::GetStreamError> {
        self.0.get_stream(name).await
    }

    /// Publishes events in frames, each under its subject, and waits until they are stored.
    ///
    /// # Panics
    /// The broker doesn't take them.
    pub async fn publish(&self, events: &[Event]) {
        for chunk in events.chunks(FRAME) {
            let mut packer = frame::Packer::default();
            for event in chunk {
                let mut encoded = Vec::new();
                frame::encode(event, SOURCE, &[], &mut encoded);
                packer.add(&event.subject, &encoded);
            }
            for frame in packer.finish() {
                self.0.publish(frame.subject, frame.payload).await.unwrap().await.unwrap();
            }
        }
    }
}
