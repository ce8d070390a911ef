//! The query of a unary call by GET: the message, its encoding, and how both are written.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use flotilla_rpc::{RpcError, invalid};
use flotilla_wire::Encoding;
use percent_encoding::percent_decode;

use crate::message::Codec;

/// base64 as URLs carry it, padded or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The parsed query.
#[derive(Debug, PartialEq, Eq)]
pub struct Query {
    /// How the message is written.
    pub codec: Codec,
    /// How it is compressed.
    pub encoding: Encoding,
    /// The message.
    pub message: Bytes,
}

impl Query {
    /// Reads a query. Parameters that Connect doesn't define are ignored.
    ///
    /// # Errors
    /// The invalid parameter.
    pub fn read(query: &str) -> Result<Self, RpcError> {
        if value(query, "connect").is_some_and(|version| version != b"v1") {
            return Err(invalid("connect", "must be v1"));
        }
        let codec = match value(query, "encoding").as_deref() {
            Some(b"json") => Codec::Json,
            Some(b"proto") => Codec::Proto,
            Some(_) => return Err(invalid("encoding", "must be json or proto")),
            None => return Err(invalid("encoding", "must be given")),
        };
        let encoding = Encoding::named(value(query, "compression").as_deref()).map_err(RpcError::from)?;
        let message = value(query, "message").ok_or_else(|| invalid("message", "must be given"))?;
        let message = match value(query, "base64").as_deref() {
            Some(b"1") => BASE64.decode(message).map_err(|_| invalid("message", "is not URL-safe base64"))?,
            None | Some(b"" | b"0") => message,
            Some(_) => return Err(invalid("base64", "must be 0 or 1")),
        };
        Ok(Self { codec, encoding, message: message.into() })
    }
}

/// The first value of a parameter, decoded.
fn value(query: &str, name: &str) -> Option<Vec<u8>> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then(|| percent_decode(value.replace('+', " ").as_bytes()).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_text_and_as_base64() {
        let json = Query::read("connect=v1&encoding=json&message=%7B%22name%22%3A%22a+b%22%7D").unwrap();
        assert_eq!((json.codec, &json.message[..]), (Codec::Json, &b"{\"name\":\"a b\"}"[..]));
        for message in ["-_8", "-_8="] {
            let query = format!("encoding=proto&base64=1&message={message}&compression=gzip");
            let proto = Query::read(&query).unwrap();
            assert_eq!(
                (proto.codec, proto.encoding, &proto.message[..]),
                (Codec::Proto, Encoding::Gzip, &[0xfb, 0xff][..])
            );
        }
        assert!(Query::read("encoding=proto&message=").unwrap().message.is_empty());
    }

    #[test]
    fn missing_or_invalid_parameters_are_refused() {
        for query in [
            "",
            "encoding=json",
            "message=x",
            "encoding=xml&message=x",
            "encoding=json&message=x&connect=v2",
            "encoding=json&message=***&base64=1",
            "encoding=json&message=x&base64=yes",
            "encoding=json&message=x&compression=zstd",
        ] {
            assert!(Query::read(query).is_err(), "{query}");
        }
    }
}
