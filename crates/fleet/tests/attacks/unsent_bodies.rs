//! Log-ins whose body is never sent: more of them than the gateway has slots for calls.

use std::sync::Arc;

use crate::{
    attackers::{Attack, login},
    fleet::fleet,
    held_streams::HeldStreams,
};

const STREAMS: usize = 4_000;
/// Streams on one connection, which is fewer than the gateway allows.
const EACH: usize = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_thousand_log_ins_without_a_body_do_not_slow_down_others() {
    let fleet = fleet().await;
    let gateway = fleet.gateway();
    let streams = HeldStreams { count: EACH, request: login, unended: Some(0) };
    fleet
        .withstands("4,000 log-ins whose body never comes", async || {
            let mut attack = Attack::new(STREAMS);
            for _ in 0..STREAMS / EACH {
                attack.spawn(streams.keep_open(gateway, Arc::clone(&attack.deeds)));
            }
            attack
        })
        .await;
}
