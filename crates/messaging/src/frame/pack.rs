//! Packing encoded events into frames, by copying.

use bytes::BytesMut;

use super::{Frame, MAX_FRAME_BYTES, MAX_FRAME_EVENTS};

/// Packs encoded events into frames, one subject to a frame, in the order given within each subject.
#[derive(Default)]
pub struct Packer {
    open: Vec<(String, BytesMut, usize)>,
    full: Vec<Frame>,
}

impl Packer {
    /// Adds one event as [`encode`](super::encode) made it.
    pub fn add(&mut self, subject: &str, encoded: &[u8]) {
        let index = match self.open.iter().position(|(open, ..)| open == subject) {
            Some(index) => index,
            None => {
                self.open.push((subject.to_owned(), BytesMut::new(), 0));
                self.open.len() - 1
            }
        };
        let (subject, buffer, events) = &mut self.open[index];
        let full = buffer.len() + encoded.len() > MAX_FRAME_BYTES || *events >= MAX_FRAME_EVENTS;
        if *events > 0 && full {
            let payload = buffer.split().freeze();
            self.full.push(Frame { subject: subject.clone(), payload, events: std::mem::take(events) });
        }
        buffer.extend_from_slice(encoded);
        *events += 1;
    }

    /// All frames.
    pub fn finish(mut self) -> Vec<Frame> {
        self.full.extend(
            self.open.into_iter().filter(|(.., events)| *events > 0).map(|(subject, buffer, events)| Frame {
                subject,
                payload: buffer.freeze(),
                events,
            }),
        );
        self.full
    }
}
