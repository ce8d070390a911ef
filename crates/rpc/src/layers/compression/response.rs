//! Compresses responses.

use bytes::BytesMut;
use flotilla_wire::{COMPRESSED, gzip, put};

use super::recode::{self, Work};
use crate::RpcError;

/// Compresses messages of at least `above` bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deflate {
    pub above: usize,
}

impl Work for Deflate {
    fn may_pass(&self, data: &[u8]) -> bool {
        recode::may_pass(data, self.above)
    }

    fn message(&self, flags: u8, message: &[u8], out: &mut BytesMut) -> Result<(), RpcError> {
        let plain = flags & COMPRESSED == 0;
        match plain.then(|| gzip::deflate(message, self.above)).flatten() {
            Some(deflated) => put(flags | COMPRESSED, &deflated, out),
            None => put(flags, message, out),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flotilla_wire::Messages;

    use super::*;

    fn sent(message: &[u8]) -> (bool, usize) {
        let mut out = BytesMut::new();
        Deflate { above: 1000 }.message(0, message, &mut out).unwrap();
        let mut messages = Messages::new(usize::MAX);
        messages.push(&out);
        let (flags, message) = messages.cut().unwrap().unwrap();
        (flags == COMPRESSED, message.len())
    }

    #[test]
    fn only_messages_that_become_smaller_are_compressed() {
        assert_eq!(sent(&[7; 999]), (false, 999), "too small to be worth it");
        let (compressed, length) = sent(&[7; 10_000]);
        assert!(compressed && length < 200, "{length}");
        let noise: Vec<u8> = (0..5000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let (compressed, length) = sent(&noise);
        assert!(length <= 5000, "{compressed} {length}");
    }
}
