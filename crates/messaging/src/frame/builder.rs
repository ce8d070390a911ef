//! Builds frames: a transaction's events are encoded once, into frames of one subject each.

use bytes::{Bytes, BytesMut};
use flotilla_clock::Ids;

use super::{Frame, MAX_FRAME_BYTES, encode};
use crate::error::Error;
use crate::event::Event;

/// Buffer space reserved for an event's attributes; less would cost another allocation.
const ATTRIBUTES: usize = 384;

/// Encodes events into frames, in the order given within each subject.
pub struct FrameBuilder<'a> {
    source: &'a str,
    ids: &'a Ids,
    max_event_bytes: usize,
    open: Vec<Open<'a>>,
    full: Vec<Frame>,
}

/// A frame that is not full yet.
struct Open<'a> {
    subject: &'a str,
    buffer: BytesMut,
    events: usize,
}

impl<'a> FrameBuilder<'a> {
    /// A builder without frames. `source` is used for events that have none; `ids` generates the frames' ids.
    pub fn new(source: &'a str, ids: &'a Ids, max_event_bytes: usize) -> Self {
        Self { source, ids, max_event_bytes, open: Vec::new(), full: Vec::new() }
    }

    /// Adds one event.
    ///
    /// # Errors
    /// [`Error::TooLarge`]: the encoded event exceeds the maximum size of a message.
    pub fn add(&mut self, event: &'a Event) -> Result<(), Error> {
        let index = match self.open.iter().position(|open| open.subject == event.subject) {
            Some(index) => index,
            None => {
                self.open.push(Open { subject: &event.subject, buffer: BytesMut::new(), events: 0 });
                self.open.len() - 1
            }
        };
        let open = &mut self.open[index];
        let start = open.buffer.len();
        open.buffer.reserve(event.data.len() + ATTRIBUTES);
        encode(event, self.source, &[], &mut open.buffer);
        let bytes = open.buffer.len() - start;
        if bytes > self.max_event_bytes {
            open.buffer.truncate(start);
            let (id, kind, limit) = (event.id, event.kind.clone(), self.max_event_bytes);
            return Err(Error::TooLarge { id, kind, bytes, limit });
        }
        if open.events > 0 && (open.buffer.len() > MAX_FRAME_BYTES) {
            let last = open.buffer.split_off(start);
            let payload = std::mem::replace(&mut open.buffer, last).freeze();
            self.full.push(frame(self.ids, open.subject, std::mem::take(&mut open.events), payload));
        }
        open.events += 1;
        Ok(())
    }

    /// All frames, each with its own id; later frames have later ids.
    #[must_use]
    pub fn finish(mut self) -> Vec<Frame> {
        for Open { subject, buffer, events } in self.open.into_iter().filter(|open| open.events > 0) {
            self.full.push(frame(self.ids, subject, events, buffer.freeze()));
        }
        self.full
    }
}

fn frame(ids: &Ids, subject: &str, events: usize, payload: Bytes) -> Frame {
    Frame { id: ids.next(), subject: subject.to_owned(), events, payload }
}
