//! The contract of brokers, on each of them.

mod memory {
    use flotilla_testkit::contract::broker::ACK_WAIT;
    use flotilla_testkit::memory::MemoryBroker;

    async fn new() -> MemoryBroker {
        MemoryBroker::new(ACK_WAIT)
    }

    flotilla_testkit::broker_contract!(
        #[tokio::test(start_paused = true)]
        new
    );
}

mod nats {
    use flotilla_messaging::NatsSettings;
    use flotilla_messaging::broker::Broker;
    use flotilla_messaging::broker::nats::NatsBroker;
    use flotilla_testkit::contract::broker::ACK_WAIT;
    use flotilla_testkit::{PATIENCE, eventually, stack};

    async fn new() -> NatsBroker {
        let url = stack().await.nats_url();
        let settings = NatsSettings {
            url,
            ack_wait: ACK_WAIT.into(),
            request_timeout: PATIENCE.into(),
            ..NatsSettings::default()
        };
        let broker = NatsBroker::connect("contract", &settings).await.unwrap();
        eventually("connected", PATIENCE, || async { broker.is_up() }).await;
        broker
    }

    flotilla_testkit::broker_contract!(
        #[tokio::test]
        new
    );
}
