//! Reasons from business rules.

use tonic::Code;

use super::{NO, reason};
use crate::reasons::Group;

pub(super) const GROUP: Group = Group {
    title: "Users, orders, stock and money",
    reasons: &[
        reason(
            "ACCOUNT_CLOSED",
            Code::FailedPrecondition,
            NO,
            "the account's user was deleted",
            "nothing: the account stays closed",
        ),
        reason(
            "BALANCE_TOO_LARGE",
            Code::FailedPrecondition,
            NO,
            "the balance would exceed the maximum",
            "top up less",
        ),
        reason(
            "CURRENCY_MISMATCH",
            Code::InvalidArgument,
            NO,
            "the account has another currency",
            "use the account's currency",
        ),
        reason("EMAIL_TAKEN", Code::AlreadyExists, NO, "another user has this e-mail address", "use another address"),
        reason(
            "IMPORT_IDLE",
            Code::DeadlineExceeded,
            NO,
            "no row arrived for too long; the rows before were imported",
            "import the remaining rows",
        ),
        reason("IMPORT_RUNNING", Code::Aborted, NO, "an import with this id is running", "wait until it has ended"),
        reason(
            "IMPORT_TAKEN_OVER",
            Code::Aborted,
            NO,
            "another call has taken over this import",
            "leave it to the other call",
        ),
        reason(
            "IMPORT_TOO_LARGE",
            Code::OutOfRange,
            NO,
            "the import has more rows than `limit` in the metadata",
            "split the import",
        ),
        reason(
            "INSUFFICIENT_STOCK",
            Code::FailedPrecondition,
            NO,
            "fewer units are available than should be removed",
            "remove fewer units",
        ),
        reason(
            "MIXED_CURRENCIES",
            Code::InvalidArgument,
            NO,
            "the order's products have different currencies",
            "place separate orders",
        ),
        reason(
            "ORDER_ENDED",
            Code::FailedPrecondition,
            NO,
            "the order has ended; its state is in the metadata",
            "nothing: the state is final",
        ),
        reason(
            "TOTAL_CHANGED",
            Code::Aborted,
            NO,
            "prices have changed; the new total is in the metadata",
            "confirm the new total",
        ),
        reason("TOTAL_TOO_LARGE", Code::InvalidArgument, NO, "the total exceeds the maximum", "order less"),
        reason(
            "UNKNOWN_PRODUCT",
            Code::InvalidArgument,
            NO,
            "the order contains products that aren't in the catalogue; the details name each",
            "remove the lines",
        ),
    ],
};
