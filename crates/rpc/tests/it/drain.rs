//! Shutdown: calls in flight end well, newcomers are turned away, and nothing holds it up for ever.

use flotilla_config::HumanDuration;
use flotilla_rpc::ServerSettings;
use tokio::net::TcpStream;

use crate::toy::{Toy, get, settings};

#[tokio::test]
async fn a_drain_finishes_the_call_in_flight_and_accepts_no_more() {
    let toy = Toy::start(settings()).await;
    let waiting = tokio::spawn(get(toy.channel.clone(), "wait"));
    toy.gate.holds(1).await;
    toy.shutdown.cancel();
    let address = toy.url.strip_prefix("http://").unwrap();
    // The listener closes at once; the call goes on.
    let closed = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(120), closed).await.expect("the listener closes");
    assert!(!waiting.is_finished());
    toy.gate.open.add_permits(1);
    assert_eq!(waiting.await.unwrap().unwrap().name, "wait");
    toy.serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_call_that_outlives_the_grace_is_aborted() {
    let toy = Toy::start(ServerSettings { drain_grace: HumanDuration::from_millis(100), ..settings() }).await;
    let waiting = tokio::spawn(get(toy.channel.clone(), "wait"));
    toy.gate.holds(1).await;
    toy.shutdown.cancel();
    toy.serving.await.unwrap().unwrap();
    toy.gate.holds(0).await;
    waiting.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn a_client_that_sends_nothing_is_disconnected() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let toy = Toy::start(settings()).await;
    let mut silent = TcpStream::connect(toy.url.strip_prefix("http://").unwrap()).await.unwrap();
    silent.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    let mut answer = Vec::new();
    let cut_off = tokio::time::timeout(std::time::Duration::from_secs(30), silent.read_to_end(&mut answer)).await;
    let _ = cut_off.expect("cut off after ten seconds");
}
