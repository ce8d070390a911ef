//! The settings of all services: their reference page, and the layers that images carry. And that the fleet knows every
//! service that is listed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod layers;
mod page;
mod services;

use std::path::{Path, PathBuf};

use flotilla_config::{ConfigError, Effective, Reference, Sources};
use flotilla_service::{Service, Settings};

/// A service, as far as its settings go.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) reference: Reference,
    pub(crate) load: fn(&Sources) -> Result<Effective, ConfigError>,
}

fn subject<S: Service>() -> Subject {
    fn load<T: Settings>(sources: &Sources) -> Result<Effective, ConfigError> {
        sources.load::<T>().map(|loaded| loaded.effective)
    }
    Subject { name: S::NAME, reference: Reference::of::<S::Settings>(), load: load::<S::Settings> }
}

pub(crate) fn subjects() -> Vec<Subject> {
    vec![
        subject::<flotilla_gateway::Gateway>(),
        subject::<flotilla_identity::Identity>(),
        subject::<flotilla_inventory::Inventory>(),
        subject::<flotilla_orders::Orders>(),
        subject::<flotilla_payments::Payments>(),
        subject::<flotilla_notification::Notification>(),
    ]
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
