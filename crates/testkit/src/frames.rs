//! HTTP/2 frames (RFC 9113, section 6), for test clients that start and cancel many calls in one write, as no library
//! does.

use std::net::SocketAddr;

/// The preface and empty settings, with which a connection starts.
pub const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Types of frames.
pub mod kind {
    /// Part of a body.
    pub const DATA: u8 = 0;
    /// The headers of a message.
    pub const HEADERS: u8 = 1;
    /// The cancellation of a stream.
    pub const RST_STREAM: u8 = 3;
    /// A ping or its ack.
    pub const PING: u8 = 6;
    /// The end of a connection.
    pub const GOAWAY: u8 = 7;
}

const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const CANCEL: u32 = 8;

/// Encodes a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The headers of a gRPC call, without a dynamic table (RFC 7541).
pub fn call(address: SocketAddr, path: &str) -> Vec<u8> {
    let (post, http) = ([0x83], [0x86]);
    let authority = field(&[0x01], &address.to_string());
    let content_type = field(&[0x0f, 0x10], "application/grpc");
    [&post[..], &http, &field(&[0x04], path), &authority, &content_type].concat()
}

/// A field whose name is in the static table, without indexing (RFC 7541, section 6.2.2).
fn field(name: &[u8], value: &str) -> Vec<u8> {
    [name, &[u8::try_from(value.len()).unwrap()], value.as_bytes()].concat()
}

/// A complete call with `headers` and one empty message.
pub fn begun(stream: u32, headers: &[u8]) -> Vec<u8> {
    [frame(kind::HEADERS, END_HEADERS, stream, headers), frame(kind::DATA, END_STREAM, stream, &[0; 5])].concat()
}

/// The cancellation of a call.
pub fn cancelled(stream: u32) -> Vec<u8> {
    frame(kind::RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

/// The numbers of the first `count` streams of a client.
pub fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|number| 2 * number + 1)
}
