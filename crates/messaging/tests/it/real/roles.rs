//! Rights: a customer's role may append and see nothing; the service's own role may not change tables.

use flotilla_clock::Ids;
use flotilla_messaging::Messaging;
use flotilla_postgres::Pool;
use prometheus::Registry;

use super::{ORDERS, database, settings};
use crate::fixtures::{KIND, events};

#[tokio::test]
async fn a_customers_role_may_append_and_see_nothing() {
    let db = database("orders").await;
    let postgres = db.settings();
    let registry = Registry::new();
    let user = Pool::connect("user", &postgres.user_url, &postgres, &registry).unwrap();
    let system = Pool::connect("system", &postgres.system_url, &postgres, &registry).unwrap();
    let settings = settings("nats://127.0.0.1:9");
    let messaging = Messaging::new("orders", ORDERS, system.clone(), &settings, &registry).await.unwrap();
    let tx = user.begin_as(uuid::Uuid::nil()).await.unwrap();
    messaging.outbox().append(&tx, &events(&Ids::system(), KIND, 3)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(db.value::<i64>("SELECT sum(events) FROM outbox", &[]).await, 3);
    for sql in
        ["SELECT id FROM outbox", "SELECT * FROM inbox", "SELECT * FROM parked", "SELECT epoch FROM relay_cursor"]
    {
        let error = user.query(sql, &[]).await.unwrap_err();
        assert_eq!(error.sql_state(), Some("42501"), "{sql}");
    }
    for sql in ["DELETE FROM outbox", "DROP TABLE outbox", "SELECT messaging_make_partition('outbox', now())"] {
        let error = system.query(sql, &[]).await.unwrap_err();
        assert_eq!(error.sql_state(), Some("42501"), "{sql}");
    }
}
