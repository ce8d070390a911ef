//! Connections that are never used: more of them than the gateway accepts.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::time::sleep;

use crate::{
    attackers::{Attack, Deeds},
    fleet::fleet,
    http2::Connection,
};

const CONNECTIONS: usize = 1_150;
/// The shortest pause before a connection is opened again.
const PAUSE: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_of_one_address_do_not_block_others() {
    withstands("1,150 idle connections of one address", 1).await;
}

/// Ten addresses together may hold nearly all connections; one may hold only its share.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_of_ten_addresses_do_not_block_others() {
    withstands("1,150 idle connections of ten addresses", 10).await;
}

async fn withstands(name: &str, addresses: u8) {
    let fleet = fleet().await;
    let gateway = fleet.gateway();
    fleet
        .withstands(name, async || {
            let mut attack = Attack::new(CONNECTIONS);
            let from = (0..addresses).map(|number| Ipv4Addr::new(127, 0, 1, number + 1));
            for (from, number) in from.cycle().zip(0..CONNECTIONS) {
                // Not all at the same time: opening them takes time of the processors that the gateway needs, too.
                let pause = PAUSE + PAUSE * u32::try_from(number).unwrap() / u32::try_from(CONNECTIONS).unwrap();
                attack.spawn(hold(from, gateway, pause, Arc::clone(&attack.deeds)));
            }
            attack
        })
        .await;
}

/// Keeps a connection open, and opens another one whenever it is closed.
async fn hold(from: Ipv4Addr, gateway: SocketAddr, pause: Duration, deeds: Arc<Deeds>) {
    loop {
        match Connection::open(from, gateway).await {
            Ok(connection) => {
                deeds.note(true);
                connection.closed().await;
            }
            Err(_) => deeds.note(false),
        }
        sleep(pause).await;
    }
}
