//! Settings of a process: read in layers, checked as a whole, reloaded while it runs, with secrets that never show.
//!
//! Owns how a setting gets from a default, a file, a variable, a flag or a remote source into a typed value (see
//! [`Sources`] for their order) and how it gets to know of a change ([`Live`]). Guarantees:
//! * Every bad setting is named at once, with where it comes from, what was given and what is allowed; an unknown one
//!   is refused.
//! * A secret is never shown: by no error, no list of settings, no `Debug`.
//! * The type says what may change: what isn't [`Live`] holds until the process ends.
//! * Nothing here is global: two loads in one process know nothing of each other.

extern crate self as flotilla_config;

mod arguments;
mod dotenv;
mod duration;
mod effective;
mod error;
mod files;
mod kind;
mod live;
mod load;
mod merge;
mod merged;
mod names;
mod page;
mod problems;
mod read;
mod reader;
mod reference;
mod remote;
mod resolve;
mod setting;
mod shown;
mod size;
mod sources;
mod suggest;
mod tree;
mod url;
mod value;
mod values;
mod variables;
mod watched;

pub use duration::HumanDuration;
pub use effective::{Effective, EffectiveSetting, Loaded};
pub use error::ConfigError;
pub use flotilla_config_derive::Setting;
pub use kind::Kind;
pub use live::Live;
pub use load::{load, load_from, variable_of};
pub use merged::{Merged, SecretReference};
pub use names::join;
pub use problems::{Problem, Problems, Validate};
pub use reader::Reader;
pub use reference::{Description, Place, Reference, Section};
pub use remote::RemoteLayer;
pub use resolve::{ResolveError, Resolved, SCHEMES, SecretResolver, Secrets, scheme_of};
pub use secrecy::{ExposeSecret, SecretString};
pub use setting::Setting;
pub use shown::{Change, Shown};
pub use size::{ByteSize, SizeSyntax};
pub use sources::Sources;
pub use suggest::{nearest, unknown};
pub use url::{Url, UrlSyntax};
pub use value::{Given, SettingValue, ValueError};
pub use watched::Fingerprint;
