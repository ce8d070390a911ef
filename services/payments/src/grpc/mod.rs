//! The gRPC service of payments. Its methods check the ownership of accounts.

mod convert;
mod payments;
mod request;

pub use payments::PaymentApi;
