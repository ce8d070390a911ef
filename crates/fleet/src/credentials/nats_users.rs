//! The users of the fleet's NATS: one for each service, and one for the fleet's own commands.
//!
//! A service can publish only to its own stream, can't change another's, and can neither read nor ack nor change by
//! another's durable consumer; streams and consumers are those that the contracts declare. All of them may read every
//! stream: its content is meant for consumers. All users are in nats-server's one account, so that streams from before
//! there were users are kept.

use std::collections::BTreeMap;

use flotilla_proto::events::{Consumer, Stream, consumers, streams};
use flotilla_servers::NatsUser;

use crate::SERVICES;

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
    for Stream { name, service: other, .. } in streams::ALL.iter().filter(|stream| stream.service != service) {
        subjects.push(format!("flotilla.{other}.>"));
        subjects.push(format!("flotilla-relay.{other}.>"));
        subjects.extend(CHANGES.map(|change| format!("$JS.API.STREAM.{change}.{name}")));
    }
    for consumer in consumers::ALL.iter().filter(|consumer| consumer.service != service) {
        subjects.extend(of_consumer(consumer));
        // The relay that owns a stream deletes its consumers after the stream was lost.
        if consumer.stream.service != service {
            subjects.push(format!("$JS.API.CONSUMER.DELETE.{}.{}", consumer.stream.name, consumer.durable));
        }
    }
    subjects
}

/// Subjects to create, change, read and ack a durable consumer.
fn of_consumer(consumer: &Consumer) -> [String; 5] {
    let (stream, durable) = (consumer.stream.name, consumer.durable);
    [
        format!("$JS.API.CONSUMER.CREATE.{stream}.{durable}"),
        format!("$JS.API.CONSUMER.CREATE.{stream}.{durable}.>"),
        format!("$JS.API.CONSUMER.DURABLE.CREATE.{stream}.{durable}"),
        format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"),
        format!("$JS.ACK.{stream}.{durable}.>"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_writes_to_its_own_stream_alone() {
        let all = users(&names().map(|name| (name.to_owned(), "secret".to_owned())).collect());
        let of = |name: &str| all.iter().find(|user| user.name == name).map(|user| &user.may_not_publish);
        let orders = of("orders").map_or(&[][..], Vec::as_slice);
        for denied in ["flotilla.payments.>", "$JS.API.STREAM.DELETE.PAYMENTS", "flotilla-relay.identity.>"] {
            assert!(orders.iter().any(|subject| subject == denied), "{denied} in {orders:?}");
        }
        for allowed in ["flotilla.orders.>", "$JS.API.STREAM.DELETE.ORDERS", "flotilla-relay.orders.>"] {
            assert!(!orders.iter().any(|subject| subject == allowed), "{allowed} in {orders:?}");
        }
        let (bucket, stream) = (CHANGES.len() + 1, CHANGES.len() + 2);
        let all_denied = streams::ALL.len() * stream + consumers::ALL.len() * 6 + bucket;
        assert_eq!(of("gateway").map(Vec::len), Some(all_denied), "it has no stream and no consumer");
        assert!(!of("inventory").is_some_and(|denied| denied.iter().any(|subject| subject.contains(PRICES))));
        assert_eq!(of(COMMANDS).map(Vec::len), Some(0));
    }

    #[test]
    fn a_durable_consumer_is_its_services_own() {
        let denied = |service: &str, subject: &str| of_others(service).iter().any(|denied| denied == subject);
        let next = "$JS.API.CONSUMER.MSG.NEXT.ORDERS.payments-orders";
        assert!(!denied("payments", next) && denied("inventory", next) && denied("orders", next));
        let delete = "$JS.API.CONSUMER.DELETE.ORDERS.payments-orders";
        assert!(!denied("payments", delete) && denied("inventory", delete) && !denied("orders", delete));
    }
}
