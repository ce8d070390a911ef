//! Settings of a process: read in layers, checked as a whole, with secrets that never show.
//!
//! Owns how a setting gets from a default, a TOML file or an environment variable into a typed value. Guarantees:
//! every bad setting is named at once, an unknown one is refused, and no value is ever printed by an error.

mod access;
mod duration;
mod error;
mod failure;
mod layers;
mod load;
mod node;
mod problems;

pub use duration::HumanDuration;
pub use error::ConfigError;
pub use load::{load, load_from, variable_of};
pub use problems::{Problem, Problems, Validate};
pub use secrecy::{ExposeSecret, SecretString};
