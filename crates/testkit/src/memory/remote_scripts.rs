//! The scripts of the cache and the lock, in Rust.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flotilla_cache::remote::Script;

use super::remote::Data;

/// Where an entry's version and time of being stale stand in it.
const VERSION: std::ops::Range<usize> = 1..21;
const STALE: std::ops::Range<usize> = 31..41;

pub(super) fn run(script: &Script, data: &mut Data, keys: &[&str], args: &[Bytes]) -> Vec<Bytes> {
    match (script.name, keys, args) {
        ("fetch", [entry, lease], [token, ttl, insists]) => fetch(data, entry, lease, token, ttl, insists),
        ("store", [entry, lease], args) => store(data, entry, lease, args),
        ("invalidate", [entry, lease], args) => invalidate(data, entry, lease, args),
        ("put", [entry, lease], args) => put(data, entry, lease, args),
        ("release", [lease], [token]) => release(data, lease, token),
        ("acquire", [lock, fencing], [token, ttl]) => acquire(data, lock, fencing, token, ttl),
        ("extend", [lock], [token, ttl]) => extend(data, lock, token, ttl),
        ("raise", [fencing], [number]) => raise(data, fencing, number),
        (name, ..) => panic!("no script {name} with {} keys and {} arguments", keys.len(), args.len()),
    }
}

fn fetch(data: &mut Data, entry: &str, lease: &str, token: &Bytes, ttl: &Bytes, insists: &Bytes) -> Vec<Bytes> {
    let current = data.get(entry);
    let left = data.left(entry).map(|left| left.as_millis());
    let is_fresh = current
        .as_ref()
        .is_some_and(|entry| entry[0] != b'T' && left.is_some_and(|left| left > u128::from(number(&entry[STALE]))));
    let may_load = !is_fresh || insists.as_ref() == b"1";
    let has_lease = may_load && data.get(lease).is_none();
    if has_lease {
        data.set(lease, token.clone(), Some(millis(ttl)));
    }
    let left = left.map_or_else(|| "-2".to_owned(), |left| left.to_string());
    vec![current.unwrap_or_default(), left.into(), if has_lease { "1" } else { "0" }.into()]
}

fn store(data: &mut Data, entry: &str, lease: &str, args: &[Bytes]) -> Vec<Bytes> {
    let [token, kind, version, rest, ttl] = args else { panic!("store takes five arguments") };
    if data.get(lease).as_ref() != Some(token) {
        return vec!["lost".into()];
    }
    data.delete(lease);
    let mut version = version.clone();
    if let Some(newest) = data.get(entry).map(|current| current.slice(VERSION)) {
        if number(&version) == 0 {
            version = newest;
        } else if version < newest {
            return vec!["old".into()];
        }
    }
    data.set(entry, joined(&[kind, &version, rest]), Some(millis(ttl)));
    vec!["stored".into(), version]
}

fn invalidate(data: &mut Data, entry: &str, lease: &str, args: &[Bytes]) -> Vec<Bytes> {
    let [version, rest, ttl, channel, message] = args else { panic!("invalidate takes five arguments") };
    let newest = data.get(entry).map(|current| current.slice(VERSION));
    if number(version) == 0 || newest.as_ref().is_none_or(|newest| newest < version) {
        let version = newest.map_or_else(|| version.clone(), |newest| newest.max(version.clone()));
        data.set(entry, joined(&[b"T", &version, rest]), Some(millis(ttl)));
        data.delete(lease);
    }
    data.published.push((text(channel), message.clone()));
    vec!["done".into()]
}

fn put(data: &mut Data, entry: &str, lease: &str, args: &[Bytes]) -> Vec<Bytes> {
    let [kind, version, rest, ttl, channel, message] = args else { panic!("put takes six arguments") };
    let current = data.get(entry);
    if current.as_ref().is_some_and(|current| current.slice(VERSION) > *version) {
        return vec!["old".into()];
    }
    let kind: &[u8] = if current.is_some() { kind } else { b"T" };
    data.set(entry, joined(&[kind, version, rest]), Some(millis(ttl)));
    data.delete(lease);
    data.published.push((text(channel), message.clone()));
    vec![if current.is_some() { "stored" } else { "unknown" }.into()]
}

fn release(data: &mut Data, lease: &str, token: &Bytes) -> Vec<Bytes> {
    let is_owner = data.get(lease).as_ref() == Some(token);
    if is_owner {
        data.delete(lease);
    }
    vec![if is_owner { "1" } else { "0" }.into()]
}

fn acquire(data: &mut Data, lock: &str, fencing: &str, token: &Bytes, ttl: &Bytes) -> Vec<Bytes> {
    if data.get(lock).is_some() {
        return Vec::new();
    }
    data.set(lock, token.clone(), Some(millis(ttl)));
    let next: Bytes = (data.get(fencing).map_or(0, |current| number(&current)) + 1).to_string().into();
    data.set(fencing, next.clone(), None);
    vec![next]
}

fn extend(data: &mut Data, lock: &str, token: &Bytes, ttl: &Bytes) -> Vec<Bytes> {
    let is_owner = data.get(lock).as_ref() == Some(token);
    if is_owner {
        data.set(lock, token.clone(), Some(millis(ttl)));
    }
    vec![if is_owner { "1" } else { "0" }.into()]
}

fn raise(data: &mut Data, fencing: &str, wanted: &Bytes) -> Vec<Bytes> {
    let current = data.get(fencing).map_or(0, |current| number(&current));
    let highest: Bytes = current.max(number(wanted)).to_string().into();
    data.set(fencing, highest.clone(), None);
    vec![highest]
}

fn number(digits: &[u8]) -> u64 {
    std::str::from_utf8(digits).unwrap().parse().unwrap()
}

fn millis(digits: &Bytes) -> Duration {
    Duration::from_millis(number(digits))
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn joined(parts: &[&[u8]]) -> Bytes {
    let mut joined = BytesMut::new();
    parts.iter().for_each(|part| joined.extend_from_slice(part));
    joined.freeze()
}
