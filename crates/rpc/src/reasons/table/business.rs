//! What the shop's own rules refuse.

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
            "the account's user is gone",
            "nothing: the account stays closed",
        ),
        reason(
            "BALANCE_TOO_LARGE",
            Code::FailedPrecondition,
            NO,
            "the balance would be larger than can be kept",
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
            "no row of the import came for too long; the rows before are imported",
            "import the rest anew",
        ),
        reason("IMPORT_RUNNING", Code::Aborted, NO, "an import of this id is running", "wait for its end"),
        reason(
            "IMPORT_TAKEN_OVER",
            Code::Aborted,
            NO,
            "another call goes on with this import",
            "leave it to that call",
        ),
        reason(
            "IMPORT_TOO_LARGE",
            Code::OutOfRange,
            NO,
            "the import has more rows than `limit` in the metadata",
            "import in parts",
        ),
        reason(
            "INSUFFICIENT_STOCK",
            Code::FailedPrecondition,
            NO,
            "fewer are on hand than are to be taken",
            "take fewer",
        ),
        reason(
            "MIXED_CURRENCIES",
            Code::InvalidArgument,
            NO,
            "the products of one order have several currencies",
            "order them apart",
        ),
        reason(
            "ORDER_ENDED",
            Code::FailedPrecondition,
            NO,
            "the order has ended; its state is in the metadata",
            "nothing: it stays so",
        ),
        reason(
            "TOTAL_CHANGED",
            Code::Aborted,
            NO,
            "prices have changed; the new total is in the metadata",
            "confirm the new total",
        ),
        reason("TOTAL_TOO_LARGE", Code::InvalidArgument, NO, "the total is larger than can be counted", "order less"),
        reason(
            "UNKNOWN_PRODUCT",
            Code::InvalidArgument,
            NO,
            "lines name products that aren't in the catalogue; each is named",
            "remove the lines",
        ),
    ],
};
