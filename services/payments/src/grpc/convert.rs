//! Conversions from rows to the contract.

use flotilla_proto::payments::v1 as proto;
use flotilla_rpc::name;
use uuid::Uuid;

use crate::{
    domain::TransferKind,
    storage::{AccountView, PostingView},
};

/// The collection of accounts.
pub const ACCOUNTS: &str = "accounts";

/// Converts an account for clients.
pub fn account(view: &AccountView) -> proto::Account {
    proto::Account {
        name: name::of(ACCOUNTS, view.customer),
        balance: Some(view.balance.into()),
        create_time: Some(view.created_at.into()),
    }
}

/// Converts a posting for clients: a transfer has one posting per account.
pub fn posting(customer: Uuid, view: &PostingView) -> proto::Posting {
    let kind = match view.kind {
        TransferKind::TopUp => proto::TransferKind::TopUp,
        TransferKind::Charge => proto::TransferKind::Charge,
        TransferKind::Refund => proto::TransferKind::Refund,
    };
    proto::Posting {
        name: format!("{ACCOUNTS}/{customer}/postings/{}", view.transfer),
        kind: kind.into(),
        amount: Some(view.amount.into()),
        order: view.order.map(|order| name::of("orders", order)).unwrap_or_default(),
        create_time: Some(view.created_at.into()),
    }
}
