//! A connection between services carries the calls of many users, of which any may cancel theirs.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::toy::{Toy, settings};

const PATIENCE: Duration = Duration::from_secs(10);
/// The preface and empty settings.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// Calls that are cancelled in the same write that begins them.
const CANCELLED: u32 = 500;

/// Types of frames (RFC 9113, section 6).
mod kind {
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
}

/// `END_STREAM` and `END_HEADERS`.
const WHOLE: u8 = 0x5;
const CANCEL: [u8; 4] = 8_u32.to_be_bytes();

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A literal header field whose name is in the static table (RFC 7541, section 6.2.2), not indexed.
fn field(name: &[u8], value: &str) -> Vec<u8> {
    [name, &[u8::try_from(value.len()).unwrap()], value.as_bytes()].concat()
}

/// The headers of a call, without a dynamic table.
fn headers(address: SocketAddr) -> Vec<u8> {
    let (post, http) = ([0x83], [0x86]);
    let path = field(&[0x04], "/flotilla.inventory.v1.StockService/GetStock");
    let authority = field(&[0x01], &address.to_string());
    let content_type = field(&[0x0f, 0x10], "application/grpc");
    [&post[..], &http, &path, &authority, &content_type].concat()
}

/// The kinds of the frames that the server sends, up to and including a pong.
async fn until_pong(stream: &mut TcpStream) -> Vec<u8> {
    let mut kinds = Vec::new();
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return kinds;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).await.unwrap();
        kinds.push(head[3]);
        if head[3] == kind::PING {
            return kinds;
        }
    }
}

#[tokio::test]
async fn hundreds_of_calls_that_are_cancelled_at_once_end_no_connection() {
    let toy = Toy::start(settings()).await;
    let address: SocketAddr = toy.url.strip_prefix("http://").unwrap().parse().unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let headers = headers(address);
    let mut sent = HELLO.to_vec();
    for number in 0..CANCELLED {
        let id = 2 * number + 1;
        sent.extend(frame(kind::HEADERS, WHOLE, id, &headers));
        sent.extend(frame(kind::RST_STREAM, 0, id, &CANCEL));
    }
    sent.extend(frame(kind::PING, 0, 0, b"a server"));
    stream.write_all(&sent).await.unwrap();
    let kinds = timeout(PATIENCE, until_pong(&mut stream)).await.expect("a pong or the connection's end");
    assert!(kinds.contains(&kind::PING) && !kinds.contains(&kind::GOAWAY), "{kinds:?}");
}
