//! Peers that fall silent without a word: a partition, as it looks from here.

use std::net::SocketAddr;
use std::time::Duration;

use flotilla_config::HumanDuration;
use flotilla_rpc::ClientSettings;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, tcp};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tonic::Code;

use crate::client_replica::{READ, Replica, TIMEOUT, WRITE, call, methods, quick, watch as open};

/// A proxy that can stop passing anything on, in both directions, and accepting. Nothing is closed: connections to it
/// are still made, by the kernel.
struct BlackHole {
    address: SocketAddr,
    silent: watch::Sender<bool>,
}

impl BlackHole {
    async fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let silent = watch::Sender::new(false);
        let hearing = silent.subscribe();
        tokio::spawn(async move {
            loop {
                speaking(&hearing).await;
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(target).await.unwrap();
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                tokio::spawn(pass(from_client, to_server, hearing.clone()));
                tokio::spawn(pass(from_server, to_client, hearing.clone()));
            }
        });
        Self { address, silent }
    }
}

async fn speaking(silent: &watch::Receiver<bool>) {
    if silent.clone().wait_for(|silent| !silent).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn pass(mut from: tcp::OwnedReadHalf, mut to: tcp::OwnedWriteHalf, silent: watch::Receiver<bool>) {
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        speaking(&silent).await;
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

fn settings() -> ClientSettings {
    ClientSettings {
        keepalive_interval: HumanDuration::from_millis(300),
        // A peer that is merely slow must not count as silent.
        keepalive_timeout: HumanDuration::from_secs(2),
        connect_timeout: HumanDuration::from_millis(500),
        ..quick()
    }
}

/// Well below a call's deadline, which is when a silent peer would be given up without keepalives.
const LEFT_WITHIN: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_silent_peer_is_abandoned_within_the_keepalive_time() {
    let (behind, other) = (Replica::start(), Replica::start());
    let hole = BlackHole::before(behind.address).await;
    let url = format!("http://{},{}", hole.address, other.address);
    let channel = flotilla_rpc::ChannelBuilder::new(&settings()).methods(&methods()).connect(&url).unwrap();
    while behind.calls() == 0 || other.calls() == 0 {
        call(&channel, READ, "").await.unwrap();
    }
    hole.silent.send_replace(true);
    // One of two calls at once goes into the hole, and is made again elsewhere.
    for _ in 0..2 {
        let began = Instant::now();
        let (one, two) = tokio::join!(call(&channel, READ, ""), call(&channel, READ, ""));
        assert_eq!((one.unwrap(), two.unwrap()), (other.address.port(), other.address.port()));
        assert!(began.elapsed() < LEFT_WITHIN, "{:?}", began.elapsed());
    }
    // From now on nobody waits for it, although the kernel takes connections in its name.
    let began = Instant::now();
    for _ in 0..200 {
        call(&channel, READ, "").await.unwrap();
    }
    // If every other call waited for a connection, it would take fifty seconds.
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    hole.silent.send_replace(false);
    let calls = behind.calls();
    let back = async {
        while behind.calls() == calls {
            call(&channel, READ, "").await.unwrap();
        }
    };
    timeout(TIMEOUT, back).await.expect("it is used again once it speaks");
}

#[tokio::test]
async fn a_call_that_may_not_be_retried_and_a_stream_end_when_the_peer_is_silent() {
    let replica = Replica::start();
    let hole = BlackHole::before(replica.address).await;
    let channel = flotilla_rpc::ChannelBuilder::new(&settings())
        .methods(&methods())
        .connect(&format!("http://{}", hole.address))
        .unwrap();
    call(&channel, READ, "").await.unwrap();
    replica.act(crate::client_replica::Act::Hang);
    let mut stream = open(&channel, None).await.unwrap();
    stream.message().await.unwrap();
    hole.silent.send_replace(true);
    let began = Instant::now();
    let status = call(&channel, WRITE, "").await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let ended = timeout(TIMEOUT, stream.message()).await.expect("it ends");
    assert_eq!(ended.unwrap_err().code(), Code::Unavailable);
    assert!(began.elapsed() < LEFT_WITHIN, "{:?}", began.elapsed());
}
