//! Settings of a process: read in layers, validated as a whole, reloaded at run time; secrets are never shown.
//!
//! Owns how a typed value is read from defaults, files, variables, flags and a remote source (see [`Sources`] for their
//! order) and how it changes at run time ([`Live`]). Guarantees:
//! * All invalid settings are reported at once, with their source, the value given and what is allowed; unknown settings
//!   are refused.
//! * A secret is never shown, neither in errors nor in lists of settings nor by `Debug`.
//! * The type says what can change: only [`Live`] settings do; all others keep their value until the process ends.
//! * Nothing here is global: two loads in one process are independent.

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
