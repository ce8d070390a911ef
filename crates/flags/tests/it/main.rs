//! Flags as their users see them: through the handle, over each source.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod definitions;
#[cfg(feature = "flagd")]
mod flagd;
mod shares;
mod sources;
mod support;
mod targeting;
