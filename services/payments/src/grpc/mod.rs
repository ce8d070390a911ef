//! The gRPC service of payments. Ownership of accounts is checked by its methods.

mod convert;
mod payments;
mod request;

pub use payments::PaymentApi;
