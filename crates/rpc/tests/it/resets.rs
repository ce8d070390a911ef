//! A connection between services carries the calls of many users, of which any may cancel theirs.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::frames::{self, kind};
use crate::toy::{Toy, settings};

const TIMEOUT: Duration = Duration::from_secs(10);
/// Calls that are cancelled in the same write that begins them.
const CANCELLED: u32 = 500;

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
async fn hundreds_of_calls_cancelled_at_once_close_no_connection() {
    let toy = Toy::start(settings()).await;
    let address: SocketAddr = toy.url.strip_prefix("http://").unwrap().parse().unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let headers = frames::call(address, "/flotilla.inventory.v1.StockService/GetStock");
    let mut sent = frames::HELLO.to_vec();
    for id in frames::streams(CANCELLED) {
        sent.extend([frames::begun(id, &headers), frames::cancelled(id)].concat());
    }
    sent.extend(frames::frame(kind::PING, 0, 0, b"a server"));
    stream.write_all(&sent).await.unwrap();
    let kinds = timeout(TIMEOUT, until_pong(&mut stream)).await.expect("a pong or the connection's end");
    assert!(kinds.contains(&kind::PING) && !kinds.contains(&kind::GOAWAY), "{kinds:?}");
}
