//! Frames of gRPC, gRPC-Web and Connect: a byte of flags, the length in four bytes, the message.

use bytes::Bytes;

/// A message in its frame.
pub fn framed(flags: u8, message: &[u8]) -> Vec<u8> {
    let mut frame = vec![flags];
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(message);
    frame
}

/// The frames of a body.
pub fn cut(mut body: &[u8]) -> Vec<(u8, Bytes)> {
    let mut frames = Vec::new();
    while let [flags, a, b, c, d, rest @ ..] = body {
        let length = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).unwrap();
        frames.push((*flags, Bytes::copy_from_slice(&rest[..length])));
        body = &rest[length..];
    }
    assert!(body.is_empty(), "half a frame: {body:?}");
    frames
}
