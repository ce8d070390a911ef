//! gzip, the only supported compression, with bounds: a small message that inflates to a huge one is refused before it
//! is in memory.

use std::io::{Read as _, Write as _};

use bytes::BytesMut;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::{GzEncoder, MultiGzDecoder as MultiGzWriter};

use crate::WireError;

/// Compressed bytes are inflated in portions of this size, each of which grows to a megabyte at most.
const PORTION: usize = 1024;

/// How messages are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// gzip (RFC 1952).
    Gzip,
}

/// The name of an unknown encoding, truncated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown compression {0:?}; use gzip or identity")]
pub struct UnknownEncoding(String);

impl Encoding {
    /// gzip's name in headers.
    pub const GZIP: &'static str = "gzip";

    /// The encoding that a header names; without one, [`Identity`](Self::Identity).
    ///
    /// # Errors
    /// The encoding is unknown.
    pub fn named(name: Option<&[u8]>) -> Result<Self, UnknownEncoding> {
        match name {
            None | Some(b"" | b"identity") => Ok(Self::Identity),
            Some(name) if name.eq_ignore_ascii_case(Self::GZIP.as_bytes()) => Ok(Self::Gzip),
            Some(name) => Err(UnknownEncoding(String::from_utf8_lossy(name).chars().take(32).collect())),
        }
    }

    /// The best encoding that a client accepts, from a list such as `br, gzip;q=0.5`.
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

/// Compresses a message of at least `worth` bytes; `None` for a smaller one, and if compression doesn't make it
/// smaller.
pub fn deflate(message: &[u8], worth: usize) -> Option<Vec<u8>> {
    if message.len() < worth {
        return None;
    }
    Some(compress(message)).filter(|compressed| compressed.len() < message.len())
}

/// Compresses a message, whatever its size.
///
/// # Panics
/// Never: writing to memory doesn't fail.
#[must_use]
pub fn compress(message: &[u8]) -> Vec<u8> {
    // The fastest level: most of the gain at a third of the time.
    let mut encoder = GzEncoder::new(Vec::with_capacity(message.len() / 2), Compression::fast());
    let written = encoder.write_all(message).and_then(|()| encoder.finish());
    written.expect("writing to memory doesn't fail")
}

/// Inflates a message to at most `limit` bytes.
///
/// # Errors
/// It is larger, or not gzip.
pub fn inflate(message: &[u8], limit: usize) -> Result<Vec<u8>, WireError> {
    let mut plain = Vec::with_capacity(message.len().saturating_mul(2).min(limit));
    let allowed = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    MultiGzDecoder::new(message).take(allowed).read_to_end(&mut plain).map_err(|_| WireError::NotGzip)?;
    if plain.len() > limit { Err(WireError::TooLarge { limit }) } else { Ok(plain) }
}

/// Inflates data incrementally; the caller takes out the inflated bytes before it pushes more.
#[derive(Debug)]
pub struct Inflater(MultiGzWriter<Vec<u8>>);

impl Default for Inflater {
    fn default() -> Self {
        Self(MultiGzWriter::new(Vec::new()))
    }
}

impl Inflater {
    /// Inflates the beginning of `data`, and returns how many bytes were consumed.
    ///
    /// # Errors
    /// It is not gzip.
    pub fn push(&mut self, data: &[u8]) -> Result<usize, WireError> {
        let portion = &data[..data.len().min(PORTION)];
        let taken = self.0.write(portion).and_then(|taken| self.0.flush().map(|()| taken));
        taken.ok().filter(|taken| *taken > 0).ok_or(WireError::NotGzip)
    }

    /// Appends the bytes that have been inflated since the last call to `out`.
    pub fn take(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(self.0.get_ref());
        self.0.get_mut().clear();
    }

    /// Ends the data.
    ///
    /// # Errors
    /// The data was cut off.
    pub fn finish(&mut self) -> Result<(), WireError> {
        self.0.try_finish().map_err(|_| WireError::NotGzip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_compressed_and_inflated() {
        for plain in [&b""[..], b"tea", &[7; 100_000]] {
            assert_eq!(inflate(&compress(plain), 100_000).unwrap(), plain);
        }
        let twice = [compress(b"one"), compress(b"two")].concat();
        assert_eq!(inflate(&twice, 6).unwrap(), b"onetwo");
    }

    #[test]
    fn only_messages_that_become_smaller_are_compressed() {
        assert_eq!(deflate(&[7; 999], 1000), None, "too small to be worth it");
        assert!(deflate(&[7; 10_000], 1000).unwrap().len() < 200);
        let noise: Vec<u8> = (0..5000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        assert!(deflate(&noise, 1000).is_none_or(|deflated| deflated.len() < 5000));
    }

    #[test]
    fn a_bomb_is_refused_at_the_limit() {
        let bomb = compress(&vec![0; 50_000_000]);
        assert!(bomb.len() < 500_000, "{}", bomb.len());
        assert_eq!(inflate(&bomb, 1_000_000), Err(WireError::TooLarge { limit: 1_000_000 }));
        assert!(inflate(&compress(&[0; 1001]), 1000).is_err());
    }

    #[test]
    fn invalid_data_is_refused() {
        let mut cut = compress(b"a longer text that is cut off");
        cut.truncate(cut.len() - 9);
        for rubbish in [&b"rubbish"[..], b"", &cut] {
            assert_eq!(inflate(rubbish, 1000), Err(WireError::NotGzip));
        }
    }

    #[test]
    fn data_is_inflated_portion_by_portion() {
        let mut state = 1_u32;
        let next = |_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        };
        let noise: Vec<u8> = (0..5000).map(next).collect();
        let packed = compress(&noise);
        assert!(packed.len() > 2 * PORTION);
        let (mut inflater, mut plain) = (Inflater::default(), BytesMut::new());
        let mut rest = &packed[..];
        while !rest.is_empty() {
            let taken = inflater.push(rest).unwrap();
            assert!(taken <= PORTION);
            rest = &rest[taken..];
            inflater.take(&mut plain);
        }
        inflater.finish().unwrap();
        inflater.take(&mut plain);
        assert_eq!(plain[..], noise);
        assert_eq!(Inflater::default().push(b"no gzip at all"), Err(WireError::NotGzip));
    }

    #[test]
    fn headers_name_encodings() {
        assert_eq!(Encoding::named(None), Ok(Encoding::Identity));
        assert_eq!(Encoding::named(Some(b"gzip")), Ok(Encoding::Gzip));
        let unknown = Encoding::named(Some(b"zstd")).unwrap_err();
        assert_eq!(unknown.to_string(), "unknown compression \"zstd\"; use gzip or identity");
        for (list, expected) in [
            ("gzip", Encoding::Gzip),
            ("br, gzip", Encoding::Gzip),
            ("deflate,gzip,zstd", Encoding::Gzip),
            ("gzip;q=0.5", Encoding::Gzip),
            ("gzip;q=0, br", Encoding::Identity),
            ("identity", Encoding::Identity),
            ("xgzip", Encoding::Identity),
        ] {
            assert_eq!(Encoding::accepted(Some(list.as_bytes())), expected, "{list}");
        }
        assert_eq!(Encoding::accepted(None), Encoding::Identity);
    }
}
