//! Inflates requests.

use bytes::BytesMut;
use flotilla_wire::{COMPRESSED, gzip, put};

use super::recode::{self, Work};
use crate::RpcError;

/// Inflates messages up to the limit.
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
    use flotilla_wire::PREFIX;
    use flotilla_wire::gzip::compress;
    use tonic::Code;

    use super::*;

    fn inflate(message: &[u8], limit: usize) -> Result<Vec<u8>, RpcError> {
        let mut out = BytesMut::new();
        Inflate { limit }.message(COMPRESSED, message, &mut out)?;
        Ok(out[PREFIX..].to_vec())
    }

    #[test]
    fn a_compressed_message_is_inflated() {
        for plain in [&b""[..], b"tea", &[7; 100_000]] {
            assert_eq!(inflate(&compress(plain), 100_000).unwrap(), plain);
        }
    }

    #[test]
    fn a_bomb_is_refused_at_the_limit() {
        let bomb = compress(&vec![0; 50_000_000]);
        assert!(bomb.len() < 500_000, "{}", bomb.len());
        let error = inflate(&bomb, 1_000_000).unwrap_err();
        assert_eq!((error.code(), error.reason()), (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"));
        assert!(inflate(&compress(&[0; 1001]), 1000).is_err());
    }

    #[test]
    fn invalid_data_is_an_error_of_the_caller() {
        let mut cut = compress(b"a longer text that is cut off");
        cut.truncate(cut.len() - 9);
        for rubbish in [&b"rubbish"[..], b"", &cut] {
            assert_eq!(inflate(rubbish, 1000).unwrap_err().reason(), "COMPRESSION_BROKEN");
        }
    }
}
