//! What every remote does: the same suite on the server in memory and on a real one.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_cache::Redis;
use flotilla_cache::record::{self, Kind, Record};
use flotilla_cache::remote::{Notice, Remote, Script};
use flotilla_cache::scripts::{ACQUIRE, EXTEND, FETCH, INVALIDATE, PUT, RAISE, RELEASE, STORE};
use flotilla_testkit::memory::{MemoryRemote, SeededRandom};

use crate::real;

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn the_server_in_memory_keeps_the_contract() {
    suite(&MemoryRemote::new(Arc::new(SeededRandom::new(1)))).await;
}

#[tokio::test]
async fn a_real_server_keeps_the_contract() {
    let server = real::server("contract").await;
    let remote = Redis::connect("contract", &server.url().into(), LONG).unwrap();
    real::eventually("the remote is connected", || async { remote.is_connected() }).await;
    suite(&remote).await;
    remote.close().await;
    assert!(!remote.is_connected());
}

async fn suite(remote: &dyn Remote) {
    values(remote).await;
    messages(remote).await;
    leases(remote).await;
    versions(remote).await;
    tombstones(remote).await;
    writes(remote).await;
    locks(remote).await;
}

async fn values(remote: &dyn Remote) {
    assert_eq!(remote.get("values").await.unwrap(), None);
    let value = Bytes::from_static(b"\x00\xff\r\n");
    remote.set("values", value.clone(), LONG).await.unwrap();
    assert_eq!(remote.get("values").await.unwrap(), Some(value.clone()));
    remote.delete("values").await.unwrap();
    assert_eq!(remote.get("values").await.unwrap(), None);
    remote.set("values", value, Duration::from_millis(20)).await.unwrap();
    real::eventually("a value expires", || async { remote.get("values").await.unwrap().is_none() }).await;
}

async fn messages(remote: &dyn Remote) {
    let mut notices = remote.subscribe("channel");
    assert_eq!(notices.recv().await, Some(Notice::Subscribed));
    for message in [&b"\x00one"[..], b"", b"three"] {
        let message = Bytes::from_static(message);
        remote.publish("channel", message.clone()).await.unwrap();
        remote.publish("another channel", message.clone()).await.unwrap();
        assert_eq!(notices.recv().await, Some(Notice::Message(message)));
    }
}

/// Runs a script on an entry and its lease.
async fn on(remote: &dyn Remote, script: &'static Script, key: &str, args: &[&[u8]]) -> Vec<String> {
    let args: Vec<_> = args.iter().map(|arg| Bytes::copy_from_slice(arg)).collect();
    let lease = format!("{key}:lease");
    let keys: &[&str] = if *script == RELEASE { &[&lease] } else { &[key, &lease] };
    let reply = remote.run(script, keys, &args).await.unwrap();
    reply.into_iter().map(|part| String::from_utf8_lossy(&part).into_owned()).collect()
}

async fn fetch(remote: &dyn Remote, key: &str, token: &str, insists: bool) -> (Option<Record>, u64, bool) {
    let insists: &[u8] = if insists { b"1" } else { b"0" };
    let reply = on(remote, &FETCH, key, &[token.as_bytes(), b"60000", insists]).await;
    let left = reply[1].parse::<i64>().unwrap();
    (Record::parse(&reply[0].clone().into()), left.try_into().unwrap_or(0), reply[2] == "1")
}

async fn store(remote: &dyn Remote, key: &str, token: &str, version: u64) -> Vec<String> {
    let rest = record::rest(Duration::from_millis(7), Duration::from_secs(10), b"payload");
    on(remote, &STORE, key, &[token.as_bytes(), b"V", &record::version(version), &rest, b"60000"]).await
}

async fn invalidate(remote: &dyn Remote, key: &str, version: u64) {
    let rest = record::rest(Duration::ZERO, Duration::ZERO, b"");
    let reply = on(remote, &INVALIDATE, key, &[&record::version(version), &rest, b"60000", b"news", b"message"]).await;
    assert_eq!(reply, ["done"]);
}

async fn put(remote: &dyn Remote, key: &str, version: u64) -> Vec<String> {
    let rest = record::rest(Duration::ZERO, Duration::ZERO, b"written");
    on(remote, &PUT, key, &[b"V", &record::version(version), &rest, b"60000", b"news", b"message"]).await
}

async fn leases(remote: &dyn Remote) {
    assert_eq!(fetch(remote, "leases", "one", false).await, (None, 0, true));
    assert!(!fetch(remote, "leases", "two", false).await.2, "one has it");
    assert_eq!(store(remote, "leases", "two", 1).await, ["lost"]);
    assert_eq!(store(remote, "leases", "one", 1).await, ["stored", "00000000000000000001"]);
    let (record, left, has_lease) = fetch(remote, "leases", "two", false).await;
    let record = record.unwrap();
    assert_eq!((record.kind, record.version, record.payload.as_ref()), (Kind::Value, 1, &b"payload"[..]));
    assert_eq!((record.load_time, record.stale), (Duration::from_millis(7), Duration::from_secs(10)));
    assert!((50_000..=60_000).contains(&left), "{left}");
    assert!(!has_lease, "the entry is fresh");
    assert!(fetch(remote, "leases", "two", true).await.2);
    assert_eq!(on(remote, &RELEASE, "leases", &[b"one"]).await, ["0"]);
    assert_eq!(on(remote, &RELEASE, "leases", &[b"two"]).await, ["1"]);
    assert_eq!(store(remote, "leases", "two", 2).await, ["lost"]);
}

async fn versions(remote: &dyn Remote) {
    // In the digits that a number in Lua would lose.
    let newest = u64::MAX - 1;
    for (token, version, expected) in [
        ("one", newest, "stored"),
        ("two", newest - 1, "old"),
        ("three", newest, "stored"),
        ("four", newest + 1, "stored"),
    ] {
        assert!(fetch(remote, "versions", token, true).await.2);
        assert_eq!(store(remote, "versions", token, version).await[0], expected, "{version}");
    }
    assert!(fetch(remote, "versions", "five", true).await.2);
    assert_eq!(store(remote, "versions", "five", 0).await, ["stored".to_owned(), u64::MAX.to_string()], "unknown");
}

async fn tombstones(remote: &dyn Remote) {
    let mut notices = remote.subscribe("news");
    assert_eq!(notices.recv().await, Some(Notice::Subscribed));
    assert!(fetch(remote, "tombstones", "one", false).await.2);
    invalidate(remote, "tombstones", 5).await;
    assert_eq!(notices.recv().await, Some(Notice::Message(Bytes::from_static(b"message"))));
    assert_eq!(store(remote, "tombstones", "one", 5).await, ["lost"], "an invalidation takes the lease");
    let (record, _, has_lease) = fetch(remote, "tombstones", "two", false).await;
    assert_eq!(record.map(|record| (record.kind, record.version)), Some((Kind::Tombstone, 5)));
    assert!(has_lease);
    assert_eq!(store(remote, "tombstones", "two", 4).await, ["old"]);
    assert!(fetch(remote, "tombstones", "three", false).await.2, "a refused entry gives its lease back");
    assert_eq!(store(remote, "tombstones", "three", 6).await[0], "stored");
    invalidate(remote, "tombstones", 6).await;
    assert_eq!(fetch(remote, "tombstones", "four", false).await.0.unwrap().kind, Kind::Value, "6 is known");
    invalidate(remote, "tombstones", 0).await;
    let (record, _, has_lease) = fetch(remote, "tombstones", "four", false).await;
    let found = record.map(|record| (record.kind, record.version));
    assert_eq!((found, has_lease), (Some((Kind::Tombstone, 6)), true), "an unknown version leaves the newest");
}

async fn writes(remote: &dyn Remote) {
    assert_eq!(put(remote, "writes", 4).await, ["unknown"], "it may have forgotten a newer one");
    let (record, _, has_lease) = fetch(remote, "writes", "one", false).await;
    let found = record.map(|record| (record.kind, record.version));
    assert_eq!((found, has_lease), (Some((Kind::Tombstone, 4)), true));
    assert_eq!(put(remote, "writes", 5).await, ["stored"]);
    assert_eq!(store(remote, "writes", "one", 6).await, ["lost"], "a write takes the lease");
    assert_eq!(put(remote, "writes", 4).await, ["old"]);
    assert_eq!(put(remote, "writes", 6).await, ["stored"]);
    let record = fetch(remote, "writes", "two", false).await.0.unwrap();
    assert_eq!((record.version, record.payload.as_ref()), (6, &b"written"[..]));
}

async fn locks(remote: &dyn Remote) {
    let run = async |script: &'static Script, keys: &[&str], args: &[&'static str]| {
        let args: Vec<_> = args.iter().map(|arg| Bytes::from_static(arg.as_bytes())).collect();
        let reply = remote.run(script, keys, &args).await.unwrap();
        reply.into_iter().map(|part| String::from_utf8_lossy(&part).into_owned()).collect::<Vec<_>>()
    };
    let (lock, fencing) = (&["lock"][..], &["fencing"][..]);
    let both = &["lock", "fencing"][..];
    assert_eq!(run(&ACQUIRE, both, &["one", "60000"]).await, ["1"]);
    assert!(run(&ACQUIRE, both, &["two", "60000"]).await.is_empty());
    assert_eq!(run(&EXTEND, lock, &["two", "60000"]).await, ["0"]);
    assert_eq!(run(&EXTEND, lock, &["one", "60000"]).await, ["1"]);
    assert_eq!(run(&RELEASE, lock, &["two"]).await, ["0"]);
    assert_eq!(run(&RELEASE, lock, &["one"]).await, ["1"]);
    assert_eq!(run(&EXTEND, lock, &["one", "60000"]).await, ["0"]);
    assert_eq!(run(&ACQUIRE, both, &["two", "20"]).await, ["2"]);
    real::eventually("a lock expires", || async { remote.get("lock").await.unwrap().is_none() }).await;
    assert_eq!(run(&RAISE, fencing, &["7"]).await, ["7"]);
    assert_eq!(run(&RAISE, fencing, &["3"]).await, ["7"]);
    assert_eq!(run(&ACQUIRE, both, &["three", "60000"]).await, ["8"]);
    assert_eq!(run(&EXTEND, lock, &["three", "20"]).await, ["1"]);
    real::eventually("an extended lock expires", || async { remote.get("lock").await.unwrap().is_none() }).await;
}
