//! Follows the messages of a body as it passes, without keeping any of it.

use crate::WireError;
use crate::message::{PREFIX, head, largest};

/// Reads the length prefixes in a body.
#[derive(Debug)]
pub struct Lengths {
    limit: usize,
    prefix: [u8; PREFIX],
    /// Bytes of the prefix seen so far.
    seen: usize,
    /// Bytes of the current message still to come.
    rest: usize,
    messages: usize,
}

impl Lengths {
    /// Allows messages of at most `limit` bytes; see [`largest`] for compressed ones.
    pub fn new(limit: usize) -> Self {
        Self { limit, prefix: [0; PREFIX], seen: 0, rest: 0, messages: 0 }
    }

    /// Checks the next bytes.
    ///
    /// # Errors
    /// A message is larger than allowed.
    pub fn pass(&mut self, mut data: &[u8]) -> Result<(), WireError> {
        while !data.is_empty() {
            let skipped = self.rest.min(data.len());
            self.rest -= skipped;
            data = &data[skipped..];
            let taken = (PREFIX - self.seen).min(data.len());
            self.prefix[self.seen..self.seen + taken].copy_from_slice(&data[..taken]);
            self.seen += taken;
            data = &data[taken..];
            if self.seen == PREFIX
                && let Some((flags, length)) = head(&self.prefix)
            {
                (self.rest, self.seen) = (length, 0);
                self.messages += 1;
                if length > largest(flags, self.limit) {
                    return Err(WireError::TooLarge { limit: self.limit });
                }
            }
        }
        Ok(())
    }

    /// Whether the body may end here.
    ///
    /// # Errors
    /// It ends within a message.
    pub fn end(&self) -> Result<(), WireError> {
        if self.seen == 0 && self.rest == 0 { Ok(()) } else { Err(WireError::Incomplete) }
    }

    /// How many messages have begun.
    pub fn messages(&self) -> usize {
        self.messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{COMPRESSED, prefixed};

    fn message(length: usize) -> Vec<u8> {
        prefixed(0, &vec![1; length]).to_vec()
    }

    #[test]
    fn messages_within_the_limit_pass_however_they_are_cut() {
        let body = [message(0), message(10), message(3)].concat();
        for size in 1..=body.len() {
            let mut lengths = Lengths::new(10);
            assert!(body.chunks(size).all(|chunk| lengths.pass(chunk).is_ok()), "chunks of {size}");
            assert_eq!((lengths.messages(), lengths.end()), (3, Ok(())));
        }
    }

    #[test]
    fn a_message_beyond_the_limit_is_refused_by_its_prefix() {
        let body = [message(10), message(11)].concat();
        for size in 1..=body.len() {
            let mut lengths = Lengths::new(10);
            let error = body.chunks(size).find_map(|chunk| lengths.pass(chunk).err()).unwrap();
            assert_eq!(error, WireError::TooLarge { limit: 10 });
        }
    }

    #[test]
    fn a_body_may_not_end_within_a_message() {
        for cut in [1, 5, 14] {
            let mut lengths = Lengths::new(10);
            lengths.pass(&message(10)[..cut]).unwrap();
            assert_eq!(lengths.end(), Err(WireError::Incomplete), "{cut}");
        }
    }

    #[test]
    fn a_compressed_message_may_be_a_little_larger_than_what_it_holds() {
        assert!(Lengths::new(10).pass(&prefixed(COMPRESSED, &[0; 100])).is_ok());
        assert!(Lengths::new(10).pass(&prefixed(COMPRESSED, &[0; 2000])).is_err());
    }
}
