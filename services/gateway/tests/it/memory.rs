//! What one address can make a gateway of its own process take of memory.

use http::Request;

use crate::besieged::{Gateway, SIEGE};
use crate::http::Call;
use crate::opener::Opener;

/// What the budget of the gateway is, and by how much it may grow, in KiB: the estimates aren't exact, and the
/// allocator keeps some of what it was given back.
const BUDGET: (&str, &str) = ("FLOTILLA__EDGE__MEMORY", "16MiB");
const GROWTH: u64 = 32 * 1024;
const ATTACKER: [u8; 4] = [127, 0, 0, 2];

/// A gateway that has done what fills pools, caches and the allocator, and its memory.
async fn warm() -> (Gateway, u64) {
    let gateway = Gateway::with(&[BUDGET]).await;
    gateway.latencies().await;
    let memory = gateway.memory().unwrap_or_default();
    (gateway, memory)
}

async fn assert_served(gateway: &Gateway, before: u64) {
    for number in 0..20 {
        let call = Call::new(gateway.address, "GET /v1/products");
        let call = if number % 2 == 0 { call.http2() } else { call };
        assert_eq!(call.send().await.status, 200, "another address is served");
    }
    let grown = gateway.memory().map(|now| now.saturating_sub(before));
    println!("{before} KiB before, {grown:?} KiB more");
    assert!(grown.is_none_or(|grown| grown < GROWTH), "{grown:?} KiB more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_thousand_streams_of_one_address_take_no_more_than_its_share() {
    let _alone = SIEGE.lock().await;
    let (gateway, before) = warm().await;
    let mut openers = Vec::new();
    for _ in 0..40 {
        let mut opener = Opener::connect(gateway.address, ATTACKER).await;
        for _ in 0..100 {
            opener.send(Request::get(format!("http://{}/v1/products:watchPrices", gateway.address)), true).await;
        }
        opener.settle().await;
        openers.push(opener);
    }
    assert_served(&gateway, before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_not_taken_take_no_more_than_their_addresss_share() {
    let _alone = SIEGE.lock().await;
    let (gateway, before) = warm().await;
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(1);
    let mut openers = Vec::new();
    for _ in 0..10 {
        let mut opener = Opener::with(&builder, gateway.address, ATTACKER).await;
        for _ in 0..80 {
            // Its answer has 100 KiB.
            opener.send(Request::get(format!("http://{}/v1/products/large", gateway.address)), true).await;
        }
        opener.settle().await;
        openers.push(opener);
    }
    assert_served(&gateway, before).await;
}
