//! Calls that are sent and cancelled, over and over, on one connection after another.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use flotilla_testkit::frames;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::{sleep, timeout},
};

use crate::{
    attackers::{Attack, Deeds, FROM},
    fleet::fleet,
};

/// Connections at a time.
const ATTACKERS: usize = 8;
/// Calls on one connection, fewer than the edge lets one cancel.
const EACH: u32 = 150;
/// How many are cancelled together: those that the edge hasn't looked at yet would end the connection.
const TOGETHER: usize = 15;
/// Long enough for a call to reach its service, too short for most to be answered.
const PATIENCE: Duration = Duration::from_millis(1);
/// The pause between two connections of an attacker.
const PAUSE: Duration = Duration::from_millis(50);
const LIST: &str = "/flotilla.inventory.v1.CatalogService/ListProducts";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_calls_do_not_slow_down_others() {
    let fleet = fleet().await;
    let gateway = fleet.gateway();
    fleet
        .withstands("calls cancelled at once", async || {
            let mut attack = Attack::new(ATTACKERS * EACH as usize);
            for _ in 0..ATTACKERS {
                let deeds = Arc::clone(&attack.deeds);
                attack.spawn(async move {
                    loop {
                        if cancel_on(gateway, &deeds).await.is_err() {
                            deeds.note(false);
                        }
                        sleep(PAUSE).await;
                    }
                });
            }
            attack
        })
        .await;
}

/// Makes and cancels the calls of one connection. Writes frames as they stand: a client that costs the machine little.
async fn cancel_on(gateway: SocketAddr, deeds: &Deeds) -> std::io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((FROM, 0).into())?;
    let mut stream = socket.connect(gateway).await?;
    stream.set_nodelay(true)?;
    let headers = frames::call(gateway, LIST);
    stream.write_all(frames::HELLO).await?;
    let ids: Vec<_> = frames::streams(EACH).collect();
    for ids in ids.chunks(TOGETHER) {
        let begun: Vec<_> = ids.iter().flat_map(|id| frames::begun(*id, &headers)).collect();
        stream.write_all(&begun).await?;
        until_closed(&mut stream).await?;
        let cancelled: Vec<_> = ids.iter().flat_map(|id| frames::cancelled(*id)).collect();
        stream.write_all(&cancelled).await?;
        ids.iter().for_each(|_| deeds.note(true));
    }
    Ok(())
}

/// Reads for a moment.
///
/// # Errors
/// The gateway has closed the connection.
async fn until_closed(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut read = [0; 16 * 1024];
    let reading = async {
        while stream.read(&mut read).await? > 0 {}
        Err(std::io::ErrorKind::ConnectionAborted.into())
    };
    timeout(PATIENCE, reading).await.unwrap_or(Ok(()))
}
