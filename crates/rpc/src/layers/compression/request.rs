//! Inflates requests.

use bytes::BytesMut;
use flotilla_wire::{COMPRESSED, gzip, put};

use super::recode::{self, Work};
use crate::RpcError;

/// Makes messages plain again, none larger than the limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inflate {
    pub limit: usize,
}

impl Work for Inflate {
    fn may_pass(&self, data: &[u8]) -> bool {
        recode::may_pass(data, usize::MAX)
    }

    fn message(&self, flags: u8, message: &[u8], out: &mut BytesMut) -> Result<(), RpcError> {
        if flags & COMPRESSED == 0 {
            put(flags, message, out);
        } else {
            put(0, &gzip::inflate(message, self.limit)?, out);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use flotilla_wire::PREFIX;
    use tonic::Code;

    use super::*;

    fn deflated(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn inflate(message: &[u8], limit: usize) -> Result<Vec<u8>, RpcError> {
        let mut out = BytesMut::new();
        Inflate { limit }.message(COMPRESSED, message, &mut out)?;
        Ok(out[PREFIX..].to_vec())
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
