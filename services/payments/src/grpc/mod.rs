//! The gRPC service of payments and who may call which method.

mod convert;
mod payments;
mod request;

use flotilla_rpc::{Access, AccessRules};

pub use payments::PaymentApi;

/// Who may call what. Ownership is checked by the methods.
pub fn rules() -> AccessRules {
    AccessRules::new()
        .allow("/flotilla.payments.v1.PaymentService/GetAccount", Access::Authenticated)
        .allow("/flotilla.payments.v1.PaymentService/TopUpAccount", Access::Operator)
        .allow("/flotilla.payments.v1.PaymentService/ListPostings", Access::Authenticated)
}
