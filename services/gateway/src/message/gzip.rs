//! The one compression that the edge knows, bounded: a small message that unpacks to a huge one is refused before it is
//! in memory.

use std::io::{Read as _, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use flotilla_rpc::RpcError;
use tonic::Code;

use super::frames::too_large;

/// Smaller messages aren't worth it.
const WORTH: usize = 1024;

/// How messages are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Identity,
    /// gzip (RFC 1952).
    Gzip,
}

impl Packing {
    /// Its name in headers.
    pub const GZIP: &'static str = "gzip";

    /// The packing that a header names; none is [`Identity`](Self::Identity).
    ///
    /// # Errors
    /// `UNIMPLEMENTED` with what there is.
    pub fn named(name: Option<&[u8]>) -> Result<Self, RpcError> {
        match name {
            None | Some(b"" | b"identity") => Ok(Self::Identity),
            Some(name) if name.eq_ignore_ascii_case(b"gzip") => Ok(Self::Gzip),
            Some(name) => {
                let name: String = String::from_utf8_lossy(name).chars().take(32).collect();
                let text = format!("compression {name:?} is not known; gzip and identity are");
                Err(RpcError::new(Code::Unimplemented, "COMPRESSION_UNKNOWN", text))
            }
        }
    }

    /// The best of what a client accepts, by a list such as `br, gzip;q=0.5`.
    pub fn accepted(list: Option<&[u8]>) -> Self {
        let list = list.and_then(|list| std::str::from_utf8(list).ok()).unwrap_or_default();
        let gzip = list.split(',').map(str::trim).any(|item| {
            let (name, weight) = item.split_once(';').unwrap_or((item, ""));
            let refused = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok()) == Some(0.0);
            name.trim().eq_ignore_ascii_case(Self::GZIP) && !refused
        });
        if gzip { Self::Gzip } else { Self::Identity }
    }
}

/// Packs a message; `None` where it isn't worth it.
pub fn pack(message: &[u8]) -> Option<Bytes> {
    if message.len() < WORTH {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(message.len() / 2), Compression::fast());
    encoder.write_all(message).and_then(|()| encoder.finish()).ok().map(Bytes::from)
}

/// Unpacks a message to at most `limit` bytes.
///
/// # Errors
/// It is larger, or not gzip.
pub fn unpack(packed: &[u8], limit: usize) -> Result<Bytes, RpcError> {
    let mut message = Vec::new();
    let allowed = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    MultiGzDecoder::new(packed)
        .take(allowed)
        .read_to_end(&mut message)
        .map_err(|_| RpcError::new(Code::InvalidArgument, "COMPRESSION_BROKEN", "the message is not gzip"))?;
    if message.len() > limit { Err(too_large(limit)) } else { Ok(message.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_back_as_it_was_and_a_small_one_is_left_alone() {
        let message = vec![7; 5000];
        let packed = pack(&message).unwrap();
        assert!(packed.len() < 200);
        assert_eq!(unpack(&packed, 5000).unwrap(), message);
        assert_eq!(pack(b"short"), None);
    }

    #[test]
    fn a_bomb_and_rubbish_are_refused() {
        let bomb = pack(&vec![0; 1024 * 1024]).unwrap();
        assert_eq!(unpack(&bomb, 1000).unwrap_err().code(), Code::ResourceExhausted);
        assert_eq!(unpack(b"not gzip", 1000).unwrap_err().code(), Code::InvalidArgument);
        assert_eq!(unpack(&bomb[..20], 2 * 1024 * 1024).unwrap_err().code(), Code::InvalidArgument);
    }

    #[test]
    fn headers_name_packings() {
        assert_eq!(Packing::named(None).unwrap(), Packing::Identity);
        assert_eq!(Packing::named(Some(b"gzip")).unwrap(), Packing::Gzip);
        assert_eq!(Packing::named(Some(b"zstd")).unwrap_err().code(), Code::Unimplemented);
        for (list, expected) in [
            ("br, gzip", Packing::Gzip),
            ("gzip;q=0.5", Packing::Gzip),
            ("gzip;q=0, br", Packing::Identity),
            ("identity", Packing::Identity),
        ] {
            assert_eq!(Packing::accepted(Some(list.as_bytes())), expected, "{list}");
        }
    }
}
