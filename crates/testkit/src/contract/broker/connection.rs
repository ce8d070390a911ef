//! The connection itself: pings, and whether it is up.

use bytes::Bytes;
use flotilla_messaging::broker::{Broker, Pings};

use crate::TIMEOUT;

/// All of them, and no receivers of other subjects. Pings aren't stored.
pub async fn a_ping_reaches_all_receivers_of_its_subject(broker: &impl Broker) {
    broker.ping("contract.pings", Bytes::from_static(b"early")).await.unwrap();
    let mut first = broker.pings("contract.pings").await.unwrap();
    let mut second = broker.pings("contract.pings").await.unwrap();
    broker.ping("contract.elsewhere", Bytes::from_static(b"other")).await.unwrap();
    broker.ping("contract.pings", Bytes::from_static(b"ping")).await.unwrap();
    for pings in [&mut first, &mut second] {
        assert_eq!(tokio::time::timeout(TIMEOUT, pings.next()).await.unwrap(), "ping");
    }
}

/// Without a stream or consumer.
pub async fn a_connected_broker_is_up_and_flushes(broker: &impl Broker) {
    assert!(broker.is_up());
    broker.flush().await.unwrap();
    assert!(broker.is_up());
}
