//! Feature flags: switch behaviour by user while the program runs.
//!
//! The API is OpenFeature's: providers for definitions from the configuration (section `flags`), from a key-value bucket
//! and from flagd (feature `flagd`) stand behind one handle, [`Flags`], that is passed in; nothing is global. All read
//! flagd's JSON format, so that a definition moves between them. Guarantees:
//! * An evaluation waits for nobody and always has an answer: where a flag isn't defined, or its source was never seen,
//!   it is the caller's default, and the reason is counted.
//! * Shares of users are sticky: a user keeps the variant, also while the share of the first variant grows.
//! * A definition that can't be read is refused whole; the one before it holds.

mod admin;
mod definition;
#[cfg(feature = "flagd")]
pub mod flagd;
mod flags;
mod fractional;
mod metrics;
mod provider;
mod settings;
mod source;
mod targeting;
mod trace;

pub use admin::routes;
pub use definition::{BadDefinition, Flag, FlagSet, MAX_BYTES, MAX_FLAGS, MAX_VARIANTS, check_name};
pub use flags::{Context, Flags, FlagsBuilder};
pub use settings::FlagSettings;
pub use source::{FlagDefinitions, Published};
