//! What is counted of stock: each verdict once, whatever comes again.

use flotilla_proto::inventory::v1::{StockRejected, StockRejection};
use flotilla_testkit::eventually;

use crate::world::{TIMEOUT, World};

#[tokio::test]
async fn a_redelivered_refusal_is_one_stock_out() {
    let world = World::start().await;
    world.product("tea", 1).await;
    let command = world.reserve(world.ids.next(), &[("tea", 2)]);
    let rejected: StockRejected = world.ask(&command).await;
    assert_eq!(rejected.rejection(), StockRejection::OutOfStock);
    world.send(&[command.clone(), command.clone()]).await;
    eventually("the reply is published again", TIMEOUT, || async { world.answers(&command).await.len() >= 2 }).await;
    let metrics = world.service.metrics();
    assert!(metrics.contains("flotilla_stock_outs_total 1\n"), "{metrics}");
    assert!(metrics.contains("flotilla_stock_verdicts_total{verdict=\"out_of_stock\"} 1\n"), "{metrics}");
    world.finish().await;
}
