//! Inflates requests.

use std::io::Read as _;

use bytes::BytesMut;
use flate2::read::GzDecoder;
use tonic::Code;

use super::frames;
use super::recode::Work;
use crate::RpcError;

/// What is read out of the decoder at once.
const STEP: usize = 16 * 1024;

/// Makes messages plain again, none larger than the limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inflate {
    pub limit: usize,
}

impl Work for Inflate {
    fn may_pass(&self, data: &[u8]) -> bool {
        frames::may_pass(data, usize::MAX)
    }

    fn message(&self, compressed: bool, message: &[u8], out: &mut BytesMut) -> Result<(), RpcError> {
        if compressed {
            frames::put(false, &inflate(message, self.limit)?, out);
        } else {
            frames::put(false, message, out);
        }
        Ok(())
    }
}

/// Inflates a message; stops where it grows beyond the limit.
fn inflate(message: &[u8], limit: usize) -> Result<Vec<u8>, RpcError> {
    let mut decoder = GzDecoder::new(message);
    let mut plain = Vec::with_capacity(message.len().saturating_mul(2).min(limit));
    let mut step = [0; STEP];
    loop {
        let broken = |_| RpcError::new(Code::InvalidArgument, "COMPRESSION_BROKEN", "the message is not valid gzip");
        match decoder.read(&mut step).map_err(broken)? {
            0 => return Ok(plain),
            read if plain.len() + read > limit => {
                let text = "the message is larger than allowed once it is inflated";
                return Err(RpcError::new(Code::ResourceExhausted, "MESSAGE_TOO_LARGE", text)
                    .metadata("limit_bytes", limit.to_string()));
            }
            read => plain.extend_from_slice(&step[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn deflated(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_message_comes_back_as_it_was() {
        for plain in [&b""[..], b"tea", &[7; 100_000]] {
            assert_eq!(inflate(&deflated(plain), 100_000).unwrap(), plain);
        }
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        let bomb = deflated(&vec![0; 50_000_000]);
        assert!(bomb.len() < 100_000, "{}", bomb.len());
        let error = inflate(&bomb, 1_000_000).unwrap_err();
        assert_eq!((error.code(), error.reason()), (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"));
        assert!(inflate(&deflated(&[0; 1001]), 1000).is_err());
    }

    #[test]
    fn rubbish_is_the_callers_mistake() {
        let mut cut = deflated(b"a longer text that is cut off");
        cut.truncate(cut.len() - 9);
        for rubbish in [&b"rubbish"[..], b"", &cut] {
            assert_eq!(inflate(rubbish, 1000).unwrap_err().reason(), "COMPRESSION_BROKEN");
        }
    }
}
