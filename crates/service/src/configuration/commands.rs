//! The commands that print settings.

use flotilla_config::Reference;

use super::{Configuration, Settings};

/// The output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Text,
    Json,
}

/// All settings of the service.
pub(crate) fn describe<T: Settings>(service: &str) -> String {
    let settings = Reference::of::<T>().text();
    format!(
        "Settings of {service}. Each can be set by its flag, by its variable, in a file or in the remote source;\n\
         a secret by a variable with _FILE behind it that names a file with the value.\n\n{settings}"
    )
}

impl<T: Settings> Configuration<T> {
    /// The value and source of each setting.
    pub(crate) fn print(&self, shape: Shape) -> anyhow::Result<String> {
        let effective = self.effective();
        Ok(match shape {
            Shape::Text => effective.text(),
            Shape::Json => serde_json::to_string_pretty(&effective)?,
        })
    }
}
