//! The codec of every generated client and server.
//!
//! It differs from tonic's own in three ways: a request is checked by the rules of its contract (see
//! [`requests`](crate::requests)) before it is decoded, a request that can't be decoded is the caller's mistake
//! (`INVALID_ARGUMENT`, not `INTERNAL`), and buffers start at the size of the small messages that an order is made of.

use std::marker::PhantomData;

use bytes::Buf as _;
use prost::{Message, Name};
use tonic::{
    Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use crate::requests::RequestRules;

/// First size of an encode buffer, in bytes; tonic's default is 8 KiB for each message.
const BUFFER_BYTES: usize = 512;
/// Bytes after which an encoded stream is handed to HTTP/2.
const YIELD_BYTES: usize = 32 * 1024;

/// Encodes `T` and decodes `U` as protobuf.
#[derive(Debug, Clone)]
pub struct StrictCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for StrictCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for StrictCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Name + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = StrictEncoder<T>;
    type Decoder = StrictDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        StrictEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        StrictDecoder { rules: RequestRules::of::<U>(), message: PhantomData }
    }
}

/// Encodes messages.
#[derive(Debug, Clone)]
pub struct StrictEncoder<T>(PhantomData<T>);

impl<T: Message> Encoder for StrictEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(buffer).map_err(|error| Status::internal(format!("response can't be encoded: {error}")))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
    }
}

/// Checks and decodes messages.
#[derive(Debug, Clone)]
pub struct StrictDecoder<U> {
    rules: RequestRules,
    message: PhantomData<U>,
}

impl<U: Message + Name + Default> Decoder for StrictDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let message = buffer.copy_to_bytes(buffer.remaining());
        self.rules.check(&message)?;
        U::decode(message).map(Some).map_err(|error| decode_status(U::NAME, &error))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
    }
}

/// A request is told from a response by its name, which `buf lint` enforces.
fn decode_status(message: &str, error: &prost::DecodeError) -> Status {
    let text = format!("{message} is not valid protobuf: {error}");
    if message.ends_with("Request") { Status::invalid_argument(text) } else { Status::internal(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_request_is_the_callers_mistake_and_a_broken_response_is_not() {
        let error = bytes::Bytes::from_static(&[0xff]);
        let error = crate::orders::v1::Order::decode(error).expect_err("a lone tag byte");
        assert_eq!(decode_status("PlaceOrderRequest", &error).code(), tonic::Code::InvalidArgument);
        assert_eq!(decode_status("Order", &error).code(), tonic::Code::Internal);
    }
}
