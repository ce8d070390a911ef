//! Rotation of Vault's credentials under a connection pool in use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use flotilla_config::{ExposeSecret, Live};
use flotilla_postgres::{Error, Pool, PostgresSettings};
use prometheus::Registry;

use crate::bao::Bao;
use crate::database::{Database, user_of};
use crate::logins::by_token;

const CALLERS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_change_three_times_under_load_and_no_call_fails() {
    let bao = Bao::running();
    let database = Database::start(&bao, "orders").await;
    // A lease that can't be renewed for long is replaced each time.
    database.role("system", "3s", "3s").await;
    let store = by_token(&bao, &bao.token(&[&format!("{}/creds/system", database.mount)]).await);
    let reference = database.reference("system");
    let first = store.resolve(&reference).await.unwrap();
    let url = Live::from(first.value.clone());
    let settings = PostgresSettings {
        pool_size: 3,
        ..PostgresSettings::new(first.value.clone(), first.value.clone(), first.value.clone())
    };
    let pool = Pool::connect("system", &url, &settings, &Registry::new()).unwrap();
    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (pool, stop, calls) = (pool.clone(), Arc::clone(&stop), Arc::clone(&calls));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let tx = pool.begin().await?;
                    tx.query("SELECT count(*) FROM pg_class", &[]).await?;
                    tx.commit().await?;
                    calls.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<_, Error>(())
            })
        })
        .collect();

    let mut wait = first.refresh_in.unwrap();
    for _ in 0..3 {
        tokio::time::sleep(wait).await;
        let next = store.resolve(&reference).await.unwrap();
        wait = next.refresh_in.unwrap();
        url.set(next.value);
    }
    let now = user_of(url.get().expose_secret()).await.unwrap();
    let former = first.value.expose_secret().split(['/', ':']).nth(3).unwrap().to_owned();
    // Vault removes a role when its lease ends, even if it is in use.
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    while database.has_role(&former).await {
        assert!(tokio::time::Instant::now() < end, "the first role is removed");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let user: String = pool.query("SELECT current_user::text", &[]).await.unwrap()[0].get(0);
    assert_eq!(user, now);
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap().expect("no call failed");
    }
    assert!(calls.load(Ordering::Relaxed) > 100);
    database.stop().await;
}
