//! `AccountToppedUp`: of no concern to orders.

use flotilla_proto::payments::v1::AccountToppedUp;

use super::{Reader, Reply};

/// Passes the message over.
pub const READER: Reader<Option<Reply>> = Reader::of::<AccountToppedUp>(|_| Ok(None));
