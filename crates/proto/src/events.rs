//! The contracts' declarations for the broker: the services' streams, their durable consumers, and where each message is
//! published.
//!
//! Generated from the options in the protos (`flotilla.options.v1.messaging` and `event`), so that producers, consumers,
//! the relay, the checks and the docs go by one truth: a message without a subject can't be published, and a consumer that
//! isn't declared can't be named.

/// A message that is published.
pub trait Published: prost::Name {
    /// The subject that it is published on: `flotilla.<producer>.<what>`.
    const SUBJECT: &'static str;
    /// Collection of the resource that it is about, such as `orders`.
    const AGGREGATE: &'static str;
}

/// The stream that a service's relay writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    /// Its name, such as `ORDERS`.
    pub name: &'static str,
    /// The service that writes it.
    pub service: &'static str,
    /// The subjects that it holds, those of dead letters aside.
    pub subjects: &'static [&'static str],
}

/// A durable consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consumer {
    /// Its durable name, such as `orders-inventory`.
    pub durable: &'static str,
    /// The service that it belongs to.
    pub service: &'static str,
    /// The stream that it reads.
    pub stream: &'static Stream,
    /// The subjects that it reads.
    pub subjects: &'static [&'static str],
    /// Full names of the messages that are published on them.
    pub events: &'static [&'static str],
}

/// Whether a declared consumer reads messages of this type.
#[must_use]
pub fn is_consumed<M: Published>() -> bool {
    let name = M::full_name();
    consumers::ALL.iter().any(|consumer| consumer.events.contains(&name.as_str()))
}

include!(concat!(env!("OUT_DIR"), "/events.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_consumers_and_events_are_those_of_the_contracts() {
        assert_eq!(streams::ALL.len(), 5);
        assert_eq!(streams::INVENTORY.subjects, ["flotilla.inventory.products", "flotilla.inventory.replies"]);
        let consumer = consumers::PAYMENTS_ORDERS;
        assert_eq!((consumer.service, consumer.stream), ("payments", &streams::ORDERS));
        assert_eq!(consumer.events, ["flotilla.payments.v1.ChargePayment", "flotilla.payments.v1.RefundPayment"]);
        assert_eq!(crate::payments::v1::ChargePayment::SUBJECT, "flotilla.orders.payments");
    }

    #[test]
    fn a_durable_name_begins_with_its_service() {
        for consumer in consumers::ALL {
            assert!(consumer.durable.starts_with(&format!("{}-", consumer.service)), "{}", consumer.durable);
        }
    }

    #[test]
    fn every_subject_is_read_but_the_deliveries() {
        let read = |subject: &&&str| consumers::ALL.iter().any(|consumer| consumer.subjects.contains(*subject));
        let unread: Vec<_> =
            streams::ALL.iter().flat_map(|stream| stream.subjects).filter(|subject| !read(subject)).collect();
        assert_eq!(unread, [&"flotilla.notification.deliveries"]);
        assert!(is_consumed::<crate::orders::v1::OrderPlaced>());
        assert!(!is_consumed::<crate::notification::v1::DeliveryRecorded>());
    }
}
