//! Round trips are counted by a proxy that holds answers back for a while: what is sent without waiting for an answer
//! is in the same turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use flotilla_call::{CallContext, Deadline};
use flotilla_config::ExposeSecret;
use flotilla_postgres::{Pool, PostgresSettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use crate::support::{Database, PID};

const HELD_BACK: Duration = Duration::from_millis(40);

/// The turns of all connections through the proxy: something sent after an answer had arrived.
#[derive(Clone, Default)]
struct Turns {
    count: Arc<AtomicU32>,
    answered: Arc<AtomicBool>,
}

impl Turns {
    fn take(&self) -> u32 {
        self.answered.store(true, Ordering::SeqCst);
        self.count.swap(0, Ordering::SeqCst)
    }
}

async fn proxy(target: String) -> (u16, Turns) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let turns = Turns::default();
    let counted = turns.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&target).await.unwrap();
            client.set_nodelay(true).unwrap();
            let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
            let there = counted.clone();
            tokio::spawn(relay(from_client, to_server, move || {
                if there.answered.swap(false, Ordering::SeqCst) {
                    there.count.fetch_add(1, Ordering::SeqCst);
                }
                Duration::ZERO
            }));
            let back = counted.clone();
            tokio::spawn(relay(from_server, to_client, move || {
                back.answered.store(true, Ordering::SeqCst);
                HELD_BACK
            }));
        }
    });
    (port, turns)
}

async fn relay(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    noted: impl Fn() -> Duration,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        tokio::time::sleep(noted()).await;
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

async fn proxied() -> (Pool, Turns) {
    let database = Database::with_numbers().await;
    let url = database.urls.user.expose_secret().to_owned();
    let address = url.split('@').nth(1).unwrap().split('/').next().unwrap().to_owned();
    let (port, turns) = proxy(address.clone()).await;
    let url = url.replace(&address, &format!("127.0.0.1:{port}")).into();
    let settings = PostgresSettings { pool_size: 1, ..database.settings() };
    (database.pool("user", &url, &settings), turns)
}

const SUM: &str = "SELECT sum(value) FROM numbers WHERE id > $1";

#[tokio::test]
async fn a_users_query_takes_one_round_trip_once_it_is_prepared() {
    let (pool, turns) = proxied().await;
    pool.query_as(Uuid::nil(), SUM, &[&0]).await.unwrap();
    turns.take();
    pool.query_as(Uuid::nil(), SUM, &[&1]).await.unwrap();
    assert_eq!(turns.take(), 1);
}

#[tokio::test]
async fn joined_statements_share_a_round_trip() {
    let (pool, turns) = proxied().await;
    let tx = pool.begin_as(Uuid::nil()).await.unwrap();
    futures::try_join!(tx.query(SUM, &[&0]), tx.query(PID, &[])).unwrap();
    turns.take();
    futures::try_join!(tx.query(SUM, &[&0]), tx.query(PID, &[]), tx.query_one(SUM, &[&2])).unwrap();
    assert_eq!(turns.take(), 1);
    tx.query(SUM, &[&0]).await.unwrap();
    tx.query(PID, &[]).await.unwrap();
    assert_eq!(turns.take(), 2, "one after the other");
    tx.commit().await.unwrap();
    assert_eq!(turns.take(), 1);
    let tx = pool.begin_as(Uuid::nil()).await.unwrap();
    assert_eq!(turns.take(), 1, "begin and user go together");
    tx.rollback().await.unwrap();
    turns.take();
    let context = CallContext { deadline: Some(Deadline::after(Duration::from_secs(3))), ..CallContext::default() };
    let tx = context.scope(pool.begin_as(Uuid::nil())).await.unwrap();
    assert_eq!(turns.take(), 1, "and so does the deadline");
    tx.rollback().await.unwrap();
}
