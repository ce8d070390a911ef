//! One NATS server with many accounts, so that parallel tests don't see each other's streams.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Number of accounts, and so of isolated tests in one process.
const ACCOUNTS: usize = 256;

/// Configuration lines that define the accounts. Clients without credentials get the first.
pub(crate) fn accounts() -> String {
    let mut lines = "no_auth_user: t0\naccounts {\n".to_owned();
    for number in 0..ACCOUNTS {
        let _ = writeln!(
            lines,
            "  T{number} {{ jetstream: enabled, users: [{{ user: t{number}, password: t{number} }}] }}"
        );
    }
    lines.push_str("}\n");
    lines
}

/// Hands out accounts.
#[derive(Debug, Default)]
pub(crate) struct Accounts(AtomicUsize);

impl Accounts {
    /// The address of `server` (`nats://host:port`) with the credentials of an unused account.
    pub fn next(&self, server: &str) -> String {
        let number = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(number < ACCOUNTS, "a test process has at most {} NATS accounts", ACCOUNTS - 1);
        server.replacen("nats://", &format!("nats://t{number}:t{number}@"), 1)
    }
}

/// A client of the server and account that `url` names.
///
/// # Panics
/// It can't be reached.
pub async fn nats_client(url: &str) -> async_nats::Client {
    let (address, options) = flotilla_messaging::broker::nats::login(url).unwrap();
    match options.connect(address).await {
        Ok(client) => client,
        Err(error) => panic!("{url} can't be reached: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_test_gets_its_own_account() {
        let accounts = Accounts::default();
        assert_eq!(accounts.next("nats://127.0.0.1:1"), "nats://t1:t1@127.0.0.1:1");
        assert_eq!(accounts.next("nats://127.0.0.1:1"), "nats://t2:t2@127.0.0.1:1");
    }
}
