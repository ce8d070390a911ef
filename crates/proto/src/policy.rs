//! Each method's policy in the contracts: who may call it, its deadline, and whether it may be retried.
//!
//! Read from the options in the descriptors (`flotilla.options.v1.policy` and protobuf's own `idempotency_level`), so
//! that servers, clients and the gateway go by one truth.

use std::sync::LazyLock;
use std::time::Duration;

use prost_reflect::{DescriptorPool, MethodDescriptor};

use crate::descriptors;
use crate::options::v1 as options;

/// The option's full name.
const POLICY: &str = "flotilla.options.v1.policy";
/// Packages whose services are the fleet's.
const FLEET: &str = "flotilla.";

static METHODS: LazyLock<Vec<MethodPolicy>> = LazyLock::new(|| {
    // The set is compiled in: one that can't be read describes no method, and every method is denied.
    descriptors::pool()
        .map(|pool| of(&pool).into_iter().filter(|found| found.service.starts_with(FLEET)).collect())
        .unwrap_or_default()
});

/// Who may call a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Anyone.
    Public,
    /// Anyone with a valid token.
    Authenticated,
    /// Operators.
    Operator,
    /// Other services.
    Peer,
}

/// What repeating a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Idempotency {
    /// Not declared: a repeat may do its work twice.
    Unknown,
    /// Nothing: the method only reads.
    NoSideEffects,
    /// Nothing that the first call hasn't done.
    Idempotent,
}

/// A method and its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodPolicy {
    /// `flotilla.orders.v1.OrderService`.
    pub service: String,
    /// `PlaceOrder`.
    pub method: String,
    /// `/flotilla.orders.v1.OrderService/PlaceOrder`.
    pub path: String,
    /// Whether the client sends a stream.
    pub client_streaming: bool,
    /// Whether the server answers with a stream.
    pub server_streaming: bool,
    /// Who may call it; `None`: nobody.
    pub access: Option<Access>,
    /// Services that may call a method for peers; empty: all of them.
    pub peers: Vec<String>,
    /// How long a client waits where the caller doesn't say.
    pub deadline: Option<Duration>,
    /// What repeating a call does.
    pub idempotency: Idempotency,
}

/// All methods of the fleet's services.
pub fn methods() -> &'static [MethodPolicy] {
    &METHODS
}

/// All methods of a pool.
pub fn of(pool: &DescriptorPool) -> Vec<MethodPolicy> {
    pool.services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .map(|method| read(pool, &method))
        .collect()
}

fn read(pool: &DescriptorPool, method: &MethodDescriptor) -> MethodPolicy {
    let option = declared(pool, method).unwrap_or_default();
    let (service, name) = (method.parent_service().full_name().to_owned(), method.name().to_owned());
    MethodPolicy {
        path: format!("/{service}/{name}"),
        service,
        method: name,
        client_streaming: method.is_client_streaming(),
        server_streaming: method.is_server_streaming(),
        access: match option.access() {
            options::Access::Unspecified => None,
            options::Access::Public => Some(Access::Public),
            options::Access::Authenticated => Some(Access::Authenticated),
            options::Access::Operator => Some(Access::Operator),
            options::Access::Peer => Some(Access::Peer),
        },
        peers: option.peers,
        deadline: option.deadline.and_then(|deadline| Duration::try_from(deadline).ok()),
        idempotency: idempotency(method),
    }
}

/// The policy option of a method.
fn declared(pool: &DescriptorPool, method: &MethodDescriptor) -> Option<options::MethodPolicy> {
    let extension = pool.get_extension_by_name(POLICY)?;
    let set = method.options();
    if !set.has_extension(&extension) {
        return None;
    }
    set.get_extension(&extension).as_message()?.transcode_to().ok()
}

fn idempotency(method: &MethodDescriptor) -> Idempotency {
    use prost_types::method_options::IdempotencyLevel;
    let level = method.method_descriptor_proto().options.as_ref().map(prost_types::MethodOptions::idempotency_level);
    match level {
        Some(IdempotencyLevel::NoSideEffects) => Idempotency::NoSideEffects,
        Some(IdempotencyLevel::Idempotent) => Idempotency::Idempotent,
        Some(IdempotencyLevel::IdempotencyUnknown) | None => Idempotency::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(path: &str) -> &'static MethodPolicy {
        methods().iter().find(|method| method.path == path).unwrap_or_else(|| panic!("{path} is described"))
    }

    #[test]
    fn every_method_of_the_fleet_says_who_may_call_it() {
        assert!(methods().len() > 30, "{}", methods().len());
        for method in methods() {
            assert!(method.access.is_some(), "{} has no access rule", method.path);
            assert!(method.access == Some(Access::Peer) || method.peers.is_empty(), "{}", method.path);
        }
    }

    #[test]
    fn a_method_that_only_reads_is_called_so() {
        for method in methods() {
            let reads =
                ["Get", "List", "BatchGet", "Watch", "Stream"].iter().any(|verb| method.method.starts_with(verb));
            assert_eq!(reads, method.idempotency == Idempotency::NoSideEffects, "{}", method.path);
        }
    }

    #[test]
    fn the_options_are_read() {
        let batch = find("/flotilla.inventory.v1.CatalogService/BatchGetProducts");
        assert_eq!((batch.access, batch.peers.as_slice()), (Some(Access::Peer), &["orders".to_owned()][..]));
        assert_eq!(batch.deadline, Some(Duration::from_secs(2)));
        let place = find("/flotilla.orders.v1.OrderService/PlaceOrder");
        assert_eq!((place.access, place.idempotency), (Some(Access::Authenticated), Idempotency::Idempotent));
        assert!(find("/flotilla.notification.v1.NotificationService/Subscribe").client_streaming);
    }
}
