//! Compresses responses.

use std::io::Write as _;

use bytes::BytesMut;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::frames;
use super::recode::Work;
use crate::RpcError;

/// Makes messages smaller that are `above` bytes or more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deflate {
    pub above: usize,
}

impl Work for Deflate {
    fn may_pass(&self, data: &[u8]) -> bool {
        frames::may_pass(data, self.above)
    }

    fn message(&self, compressed: bool, message: &[u8], out: &mut BytesMut) -> Result<(), RpcError> {
        match (!compressed && message.len() >= self.above).then(|| deflate(message)).flatten() {
            Some(deflated) => frames::put(true, &deflated, out),
            None => frames::put(compressed, message, out),
        }
        Ok(())
    }
}

/// The message compressed, if that makes it smaller.
fn deflate(message: &[u8]) -> Option<Vec<u8>> {
    // The fastest level: most of the gain at a third of the time.
    let mut encoder = GzEncoder::new(Vec::with_capacity(message.len() / 2), Compression::fast());
    encoder.write_all(message).ok()?;
    encoder.finish().ok().filter(|deflated| deflated.len() < message.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::compression::frames::Frames;

    fn sent(message: &[u8]) -> (bool, usize) {
        let mut out = BytesMut::new();
        Deflate { above: 1000 }.message(false, message, &mut out).unwrap();
        let mut frames = Frames::default();
        frames.push(&out);
        let (compressed, message) = frames.next().unwrap();
        (compressed, message.len())
    }

    #[test]
    fn only_what_gains_is_compressed() {
        assert_eq!(sent(&[7; 999]), (false, 999), "too small to be worth it");
        let (compressed, length) = sent(&[7; 10_000]);
        assert!(compressed && length < 200, "{length}");
        let noise: Vec<u8> = (0..5000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let (compressed, length) = sent(&noise);
        assert!(length <= 5000, "{compressed} {length}");
    }
}
