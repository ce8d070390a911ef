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
    use flotilla_testkit::{TIMEOUT, eventually, stack};

    async fn new() -> NatsBroker {
        let url = stack().await.nats_url();
        let settings =
            NatsSettings { url, ack_wait: ACK_WAIT.into(), request_timeout: TIMEOUT.into(), ..NatsSettings::default() };
        let broker = NatsBroker::connect("contract", &settings).await.unwrap();
        eventually("connected", TIMEOUT, || async { broker.is_up() }).await;
        broker
    }

    flotilla_testkit::broker_contract!(
        #[tokio::test]
        new
    );
}
