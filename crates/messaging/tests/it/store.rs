//! The contract of stores, on each of them.

mod memory {
    use flotilla_clock::Ids;
    use flotilla_testkit::contract::store::SERVICE;
    use flotilla_testkit::memory::MemoryStore;

    async fn new() -> MemoryStore {
        MemoryStore::new(SERVICE, Ids::system())
    }

    flotilla_testkit::store_contract!(
        #[tokio::test(start_paused = true)]
        new
    );
}

mod postgres {
    use flotilla_clock::Ids;
    use flotilla_messaging::postgres::PgStore;
    use flotilla_messaging::{NatsSettings, ParkedSettings, migrations};
    use flotilla_postgres::Pool;
    use flotilla_testkit::contract::store::SERVICE;
    use flotilla_testkit::stack;
    use prometheus::Registry;
    use std::time::Duration;

    async fn new() -> PgStore {
        let database = stack().await.database(SERVICE, vec![("messaging_history", migrations())]).await;
        let postgres = database.settings();
        let pool = Pool::connect("system", &postgres.system_url, &postgres, &Registry::new()).unwrap();
        let parked = ParkedSettings { backoff: Duration::from_millis(50).into(), ..ParkedSettings::default() };
        PgStore::new(SERVICE, pool, &NatsSettings { parked, ..NatsSettings::default() }, Ids::system())
    }

    flotilla_testkit::store_contract!(
        #[tokio::test]
        new
    );
}
