//! gRPC's framing: a flag, a length, a message.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// A flag and the length in four bytes, big endian.
pub(super) const PREFIX: usize = 5;

/// Gathers a body's bytes and gives whole messages.
#[derive(Debug, Default)]
pub(super) struct Frames(BytesMut);

impl Frames {
    pub fn push(&mut self, data: &[u8]) {
        self.0.extend_from_slice(data);
    }

    /// The next whole message: whether it is compressed, and its bytes.
    pub fn next(&mut self) -> Option<(bool, Bytes)> {
        let (compressed, length) = head(&self.0)?;
        if self.0.len() - PREFIX < length {
            return None;
        }
        self.0.advance(PREFIX);
        Some((compressed, self.0.split_to(length).freeze()))
    }

    /// What is left when the body has ended: a message that was cut off.
    pub fn rest(&mut self) -> Option<Bytes> {
        (!self.0.is_empty()).then(|| self.0.split().freeze())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Flag and length of the message that `data` begins with.
fn head(data: &[u8]) -> Option<(bool, usize)> {
    let [flag, a, b, c, d] = *data.first_chunk::<PREFIX>()?;
    Some((flag != 0, u32::from_be_bytes([a, b, c, d]) as usize))
}

/// Whether `data` is whole messages, none of them compressed or of `above` bytes or more: such data may pass as it is.
pub(super) fn may_pass(mut data: &[u8], above: usize) -> bool {
    while !data.is_empty() {
        match head(data) {
            Some((false, length)) if length < above && data.len() - PREFIX >= length => data = &data[PREFIX + length..],
            _ => return false,
        }
    }
    true
}

/// Appends a message to `out`.
pub(super) fn put(compressed: bool, message: &[u8], out: &mut BytesMut) {
    out.reserve(PREFIX + message.len());
    out.put_u8(u8::from(compressed));
    out.put_u32(u32::try_from(message.len()).expect("a message came with its length in 32 bits"));
    out.put_slice(message);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_whole_however_they_are_cut() {
        let mut body = BytesMut::new();
        put(false, b"one", &mut body);
        put(true, b"", &mut body);
        put(false, b"three", &mut body);
        for size in 1..=body.len() {
            let mut frames = Frames::default();
            let mut found = Vec::new();
            for chunk in body.chunks(size) {
                frames.push(chunk);
                found.extend(std::iter::from_fn(|| frames.next()));
            }
            let expected = [(false, &b"one"[..]), (true, b""), (false, b"three")];
            assert_eq!(found, expected.map(|(flag, text)| (flag, Bytes::from_static(text))), "chunks of {size}");
            assert_eq!(frames.rest(), None);
        }
    }

    #[test]
    fn only_small_whole_and_plain_messages_may_pass() {
        let message = |compressed, length| {
            let mut out = BytesMut::new();
            put(compressed, &vec![0; length], &mut out);
            out
        };
        assert!(may_pass(&message(false, 9), 10));
        assert!(may_pass(&[message(false, 9), message(false, 0)].concat(), 10));
        assert!(!may_pass(&message(false, 10), 10));
        assert!(!may_pass(&message(true, 9), 10));
        assert!(!may_pass(&message(false, 9)[..12], 10));
        assert!(!may_pass(&[0, 0], 10));
    }
}
