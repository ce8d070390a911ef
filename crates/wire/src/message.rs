//! Length-prefixed messages: a byte of flags, the length in four bytes (big endian), the message.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use crate::WireError;

/// Bytes before each message.
pub const PREFIX: usize = 5;
/// Flag of a compressed message.
pub const COMPRESSED: u8 = 1;
/// How much compression may add to a message that doesn't shrink.
const SLACK: usize = 1024;

/// Flags and length of the message at the start of `data`; `None` if its prefix is incomplete.
#[inline]
pub fn head(data: &[u8]) -> Option<(u8, usize)> {
    let [flags, a, b, c, d] = *data.first_chunk::<PREFIX>()?;
    Some((flags, usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX)))
}

/// The maximum length of a message with these flags, if its content is limited to `limit` bytes.
#[inline]
pub fn largest(flags: u8, limit: usize) -> usize {
    if flags & COMPRESSED == 0 { limit } else { limit.saturating_add(limit / 64 + SLACK) }
}

/// Appends a message and its prefix to `out`.
///
/// # Panics
/// The message has 4 GiB or more.
pub fn put(flags: u8, message: &[u8], out: &mut BytesMut) {
    out.reserve(PREFIX + message.len());
    out.put_u8(flags);
    out.put_u32(u32::try_from(message.len()).expect("a message's length has 32 bits"));
    out.put_slice(message);
}

/// A message with its prefix.
///
/// # Panics
/// As [`put`].
pub fn prefixed(flags: u8, message: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(PREFIX + message.len());
    put(flags, message, &mut out);
    out.freeze()
}

/// Splits a body's bytes into messages.
#[derive(Debug)]
pub struct Messages {
    limit: usize,
    buffer: BytesMut,
}

impl Messages {
    /// Messages of at most `limit` bytes; see [`largest`] for compressed ones.
    pub fn new(limit: usize) -> Self {
        Self { limit, buffer: BytesMut::new() }
    }

    /// Adds the next bytes.
    pub fn push(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    /// The message in `data`, if it is exactly one and nothing is buffered: it isn't copied.
    ///
    /// # Errors
    /// It is larger than allowed.
    pub fn alone(&self, data: &Bytes) -> Result<Option<(u8, Bytes)>, WireError> {
        match head(data) {
            Some((flags, length)) if self.is_empty() && data.len() - PREFIX == length => {
                self.check(flags, length).map(|()| Some((flags, data.slice(PREFIX..))))
            }
            _ => Ok(None),
        }
    }

    /// The next message with its flags; `None` until it is complete.
    ///
    /// # Errors
    /// It is larger than allowed.
    pub fn cut(&mut self) -> Result<Option<(u8, Bytes)>, WireError> {
        let Some((flags, length)) = head(&self.buffer) else { return Ok(None) };
        self.check(flags, length)?;
        if self.buffer.len() - PREFIX < length {
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        Ok(Some((flags, self.buffer.split_to(length).freeze())))
    }

    fn check(&self, flags: u8, length: usize) -> Result<(), WireError> {
        if length > largest(flags, self.limit) { Err(WireError::TooLarge { limit: self.limit }) } else { Ok(()) }
    }

    /// The number of buffered bytes.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether the next bytes start a message.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The rest at the end of the body: a truncated message.
    pub fn rest(&mut self) -> Option<Bytes> {
        (!self.buffer.is_empty()).then(|| self.buffer.split().freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_complete_however_the_body_is_split() {
        let mut body = BytesMut::new();
        put(0, b"one", &mut body);
        put(COMPRESSED, b"", &mut body);
        put(2, b"three", &mut body);
        for size in 1..=body.len() {
            let mut messages = Messages::new(5);
            let mut found = Vec::new();
            for chunk in body.chunks(size) {
                messages.push(chunk);
                found.extend(std::iter::from_fn(|| messages.cut().unwrap()));
            }
            let expected = [(0, &b"one"[..]), (1, b""), (2, b"three")];
            assert_eq!(found, expected.map(|(flags, text)| (flags, Bytes::from_static(text))), "chunks of {size}");
            assert_eq!(messages.rest(), None);
        }
    }

    #[test]
    fn a_message_that_arrives_alone_is_not_copied() {
        let alone = prefixed(2, b"three");
        let mut messages = Messages::new(5);
        let (flags, message) = messages.alone(&alone).unwrap().unwrap();
        assert_eq!((flags, &message[..], message.as_ptr()), (2, &b"three"[..], alone[PREFIX..].as_ptr()));
        assert_eq!(messages.alone(&alone.slice(..9)), Ok(None), "it isn't whole");
        assert_eq!(messages.alone(&[alone.clone(), alone.clone()].concat().into()), Ok(None), "there are two");
        assert!(Messages::new(4).alone(&alone).is_err(), "it is too large");
        messages.push(&alone[..3]);
        assert_eq!(messages.alone(&alone), Ok(None), "another came before");
    }

    #[test]
    fn a_message_that_is_too_large_is_refused_and_a_truncated_one_is_left() {
        let mut messages = Messages::new(10);
        messages.push(&prefixed(0, &[1; 11])[..PREFIX]);
        assert_eq!(messages.cut(), Err(WireError::TooLarge { limit: 10 }));
        let mut messages = Messages::new(10);
        messages.push(&prefixed(0, &[1; 10])[..9]);
        assert_eq!((messages.cut(), messages.len()), (Ok(None), 9));
        assert_eq!(messages.rest().unwrap().len(), 9);
        assert!(messages.is_empty());
    }
}
