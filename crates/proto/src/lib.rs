//! The contracts of the fleet as Rust: messages, clients and servers generated from `proto/`,
//! their descriptor set, what its options say of methods and of valid requests, and the codec that they travel in.
//!
//! Owns no state. Everything here is data: a service's `domain/` may use it.

pub mod caches;
pub mod codec;
pub mod descriptors;
pub mod events;
mod money;
pub mod policy;
pub mod requests;
pub mod status;

pub use descriptors::FILE_DESCRIPTOR_SET;

/// Declares the module of one generated package.
macro_rules! package {
    ($name:literal) => {
        include!(concat!(env!("OUT_DIR"), "/", $name, ".rs"));
    };
}

/// The packages nested as in the protos: generated code refers to its neighbours relatively.
#[allow(missing_docs, reason = "generated code carries the comments of the protos")]
#[allow(clippy::all, clippy::redundant_closure_for_method_calls, reason = "generated code")]
mod generated {
    /// The services' packages.
    pub mod flotilla {
        /// Users, credentials and sessions.
        pub mod identity {
            /// Version 1.
            pub mod v1 {
                package!("flotilla.identity.v1");
            }
        }
        /// Products, prices, stock and reservations.
        pub mod inventory {
            /// Version 1.
            pub mod v1 {
                package!("flotilla.inventory.v1");
            }
        }
        /// Orders and the events of their way.
        pub mod orders {
            /// Version 1.
            pub mod v1 {
                package!("flotilla.orders.v1");
            }
        }
        /// Accounts and the ledger.
        pub mod payments {
            /// Version 1.
            pub mod v1 {
                package!("flotilla.payments.v1");
            }
        }
        /// Deliveries to customers.
        pub mod notification {
            /// Version 1.
            pub mod v1 {
                package!("flotilla.notification.v1");
            }
        }
        /// Options that the fleet's methods carry.
        pub mod options {
            /// Version 1.
            pub mod v1 {
                package!("flotilla.options.v1");
            }
        }
    }
    /// `CloudEvents` in protobuf.
    pub mod cloudevents {
        /// Version 1.
        pub mod v1 {
            package!("io.cloudevents.v1");
        }
    }
    /// Wire-compatible declarations of Google's common types.
    pub mod google {
        /// HTTP mapping options.
        pub mod api {
            package!("google.api");
        }
        /// Common types.
        pub mod r#type {
            package!("google.r#type");
        }
    }
}

pub use generated::{
    cloudevents,
    flotilla::{identity, inventory, notification, options, orders, payments},
    google,
};
