//! The users of the fleet's NATS: one for each service, and one for the fleet's own commands.
//!
//! A service can publish only to its own stream, and can't change another's. All of them may read every stream: its
//! content is meant for consumers. All users are in nats-server's one account, so streams from before there were users
//! are kept.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use flotilla_messaging::broker::nats::login;
use flotilla_servers::NatsUser;

use crate::{DATABASES, SERVICES, secrets::password};

/// The user of the fleet's own commands: the checker, settings and flags, a restore.
pub const COMMANDS: &str = "fleet";
/// Inventory's bucket of prices.
const PRICES: &str = flotilla_inventory::prices::BUCKET;
/// API subjects that change a stream or its messages.
const CHANGES: [&str; 7] = ["CREATE", "UPDATE", "DELETE", "PURGE", "RESTORE", "SNAPSHOT", "MSG.DELETE"];

/// The names of all users.
pub fn names() -> impl Iterator<Item = &'static str> {
    SERVICES.into_iter().chain([COMMANDS])
}

/// A random password for each user.
#[must_use]
pub fn passwords() -> BTreeMap<String, String> {
    names().map(|name| (name.to_owned(), password())).collect()
}

/// The users with these passwords, and the subjects that each is denied.
#[must_use]
pub fn users(passwords: &BTreeMap<String, String>) -> Vec<NatsUser> {
    let user = |(name, password): (&String, &String)| NatsUser {
        name: name.clone(),
        password: password.clone(),
        may_not_publish: if name == COMMANDS { Vec::new() } else { of_others(name) },
    };
    passwords.iter().map(user).collect()
}

/// Subjects by which a service could write to other services' streams, change them, or wake their relays.
fn of_others(service: &str) -> Vec<String> {
    let mut subjects = Vec::new();
    if service != "inventory" {
        subjects.push(format!("$KV.{PRICES}.>"));
        subjects.extend(CHANGES.map(|change| format!("$JS.API.STREAM.{change}.KV_{PRICES}")));
    }
    for other in DATABASES.into_iter().filter(|other| *other != service) {
        subjects.push(format!("flotilla.{other}.>"));
        subjects.push(format!("flotilla-relay.{other}.>"));
        subjects.extend(CHANGES.map(|change| format!("$JS.API.STREAM.{change}.{}", other.to_uppercase())));
    }
    subjects
}

/// A client of the server at `url`, with the name and password in it.
///
/// # Errors
/// If the address is malformed, or the server doesn't answer or refuses.
pub async fn connect(url: &str) -> Result<async_nats::Client> {
    let (address, options) = login(url).context("the address of NATS can't be understood")?;
    options.connect(address).await.context("NATS doesn't answer: `fleet status` tells more")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_writes_to_its_own_stream_alone() {
        let all = users(&passwords());
        let of = |name: &str| all.iter().find(|user| user.name == name).map(|user| &user.may_not_publish);
        let orders = of("orders").map_or(&[][..], Vec::as_slice);
        for denied in ["flotilla.payments.>", "$JS.API.STREAM.DELETE.PAYMENTS", "flotilla-relay.identity.>"] {
            assert!(orders.iter().any(|subject| subject == denied), "{denied} in {orders:?}");
        }
        assert!(!orders.iter().any(|subject| subject.to_lowercase().contains("orders")), "{orders:?}");
        let bucket = CHANGES.len() + 1;
        assert_eq!(
            of("gateway").map(Vec::len),
            Some(DATABASES.len() * (CHANGES.len() + 2) + bucket),
            "it has no stream"
        );
        assert!(!of("inventory").is_some_and(|denied| denied.iter().any(|subject| subject.contains(PRICES))));
        assert_eq!(of(COMMANDS).map(Vec::len), Some(0));
    }

    #[test]
    fn each_user_has_a_password_of_its_own() {
        let different: std::collections::BTreeSet<_> = passwords().into_values().collect();
        assert_eq!(different.len(), names().count());
    }
}
