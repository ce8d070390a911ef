//! Feature flags: switch behaviour per user at run time.
//!
//! The API is OpenFeature's: providers for definitions from the configuration (section `flags`), from a key-value bucket
//! and from flagd (feature `flagd`) are combined behind one handle, [`Flags`], that is passed in; nothing is global. All
//! read flagd's JSON format, so a definition can move between them. Guarantees:
//! * An evaluation never waits and always returns a value: if a flag isn't defined, or its source was never read, it is
//!   the caller's default, and the reason is counted.
//! * Shares of users are sticky: a user keeps the variant, even while the share of the first variant grows.
//! * An invalid definition is refused as a whole; the previous one stays in effect.

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
