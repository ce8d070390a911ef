//! Packs frames into broker messages by copying them.

use bytes::{Bytes, BytesMut};
use uuid::Uuid;

use super::{FramePart, MAX_MESSAGE_BYTES, MAX_MESSAGE_EVENTS};

/// A message to publish: frames of one subject, one after the other.
#[derive(Debug, Clone)]
pub struct Message {
    /// The subject of all events inside.
    pub subject: String,
    /// Which frames these are, in order; their lengths add up to the payload's.
    pub frames: Vec<FramePart>,
    /// How many events are inside.
    pub events: usize,
    /// The encoded events.
    pub payload: Bytes,
}

/// Packs frames into messages of one subject each, in the given order within each subject.
#[derive(Default)]
pub struct Packer {
    open: Vec<Open>,
    full: Vec<Message>,
}

/// A message that is not full yet.
struct Open {
    subject: String,
    frames: Vec<FramePart>,
    events: usize,
    buffer: BytesMut,
}

impl Packer {
    /// Adds one frame.
    pub fn add(&mut self, subject: &str, id: Uuid, events: usize, payload: &[u8]) {
        let index = match self.open.iter().position(|open| open.subject == subject) {
            Some(index) => index,
            None => {
                let (frames, events, buffer) = (Vec::new(), 0, BytesMut::new());
                self.open.push(Open { subject: subject.to_owned(), frames, events, buffer });
                self.open.len() - 1
            }
        };
        let open = &mut self.open[index];
        let full = open.buffer.len() + payload.len() > MAX_MESSAGE_BYTES || open.events + events > MAX_MESSAGE_EVENTS;
        if !open.frames.is_empty() && full {
            self.full.push(open.close());
        }
        open.buffer.extend_from_slice(payload);
        open.frames.push(FramePart { id, bytes: payload.len() });
        open.events += events;
    }

    /// All messages.
    #[must_use]
    pub fn finish(mut self) -> Vec<Message> {
        self.full.extend(self.open.iter_mut().map(Open::close));
        self.full
    }
}

impl Open {
    fn close(&mut self) -> Message {
        Message {
            subject: self.subject.clone(),
            frames: std::mem::take(&mut self.frames),
            events: std::mem::take(&mut self.events),
            payload: self.buffer.split().freeze(),
        }
    }
}
