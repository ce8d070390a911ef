//! Running the saga: [`crate::domain::saga`] decides, this module stores the result and sends the commands.
//!
//! Every change happens under the lock of the saga's row, in the transaction that also writes the journal and the
//! outbox. A command keeps its id over all re-sends, so that its participant answers again instead of carrying it out
//! again.

mod batch;
mod cancel;
mod commands;
mod moves;
mod trace;
mod worker;

pub use batch::{Batch, Cause};
pub use cancel::Canceller;
pub use commands::{placed, reserve};
pub use moves::Move;
pub use worker::Worker;
