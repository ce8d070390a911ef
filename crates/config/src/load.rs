//! Reading the layers as a settings type, past the first problem.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use config::{Value, ValueKind};
use serde::de::DeserializeOwned;

use crate::error::ConfigError;
use crate::failure::{Failure, Kind};
use crate::layers::{self, PREFIX};
use crate::node::{Attempt, Node, TRIES};
use crate::problems::{Problem, Problems, Validate, variable};

/// The variable that names the file.
const FILE: &str = "FLOTILLA_CONFIG_FILE";
/// A secret is shorter than this.
const LONGEST_SECRET: u64 = 64 * 1024;
/// Each attempt finds at least one thing; this many settings nobody has.
const ATTEMPTS: usize = 2_000;

/// Loads the settings of this process: the type's defaults, under the TOML file that `FLOTILLA_CONFIG_FILE` names, under
/// the environment's `FLOTILLA__SECTION__FIELD`. `FLOTILLA__SECTION__FIELD_FILE` names a file that holds the value, for
/// secrets. An empty variable counts as one that isn't set; a section that is absent as one that is empty.
///
/// # Errors
/// Every setting that is missing, unknown or wrong.
pub fn load<T: DeserializeOwned + Validate>() -> Result<T, ConfigError> {
    let mut environment = Vec::new();
    let mut problems = Problems::default();
    for (name, value) in std::env::vars_os() {
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => environment.push((name, value)),
            (Ok(name), Err(_)) if name.starts_with(PREFIX) => {
                let message = "is not UTF-8".to_owned();
                problems.push(Problem { setting: name.clone(), message, origin: Some(name) });
            }
            _ => {}
        }
    }
    load_with(environment, None, problems)
}

/// Like [`load`] from a given environment and file; a file that is given wins over the one that the environment names.
///
/// # Errors
/// Every setting that is missing, unknown or wrong.
pub fn load_from<T: DeserializeOwned + Validate>(
    environment: impl IntoIterator<Item = (String, String)>,
    file: Option<&Path>,
) -> Result<T, ConfigError> {
    load_with(environment.into_iter().collect(), file, Problems::default())
}

fn load_with<T: DeserializeOwned + Validate>(
    environment: Vec<(String, String)>,
    file: Option<&Path>,
    mut problems: Problems,
) -> Result<T, ConfigError> {
    let named = environment.iter().find(|(name, path)| name == FILE && !path.is_empty()).map(|(_, path)| path);
    let file = file.map(Path::to_owned).or_else(|| named.map(PathBuf::from));
    let mut tree = layers::merge(environment, file.as_deref(), &mut problems)?;
    let mut reader = Reader { tree: &mut tree, problems: &mut problems, told: BTreeSet::new() };
    let settings: Option<T> = reader.read();
    if let Some(settings) = settings.filter(|_| problems.is_empty()) {
        settings.validate(&mut problems);
        if problems.is_empty() {
            return Ok(settings);
        }
    }
    let origin = |problem: &Problem| layers::find(&tree, &problem.setting).and_then(Value::origin).map(str::to_owned);
    let told = problems.found().iter().cloned().map(|problem| match problem.origin {
        None => Problem { origin: origin(&problem), ..problem },
        Some(_) => problem,
    });
    Err(ConfigError::Settings(told.collect()))
}

struct Reader<'a> {
    tree: &'a mut Value,
    problems: &'a mut Problems,
    /// Settings that a problem was told about; what follows from it is not told again.
    told: BTreeSet<String>,
}

impl Reader<'_> {
    /// Attempts to read until one comes through; each that doesn't makes the next one look further.
    fn read<T: DeserializeOwned>(&mut self) -> Option<T> {
        let mut attempt = Attempt::default();
        let mut missing = Vec::new();
        let mut settings = None;
        for _ in 0..ATTEMPTS {
            attempt.unknown.borrow_mut().clear();
            let result = T::deserialize(Node::root(self.tree, &attempt));
            let unknown = attempt.unknown.take();
            let changed = !unknown.is_empty();
            for name in unknown {
                self.unknown(&name);
            }
            match result {
                Ok(read) if !changed => {
                    settings = Some(read);
                    break;
                }
                Ok(_) => {}
                Err(_) if changed => {}
                Err(failure) => {
                    if !self.look_further(&failure, &mut attempt, &mut missing) {
                        break;
                    }
                }
            }
        }
        let sections = attempt.sections.take();
        for name in missing {
            // A section can't be set; its fields are told instead.
            if !sections.contains(&name) && self.told.insert(name.clone()) {
                self.problems.push(Problem { setting: name, message: "is missing".to_owned(), origin: None });
            }
        }
        if settings.is_none() && self.problems.is_empty() {
            self.problems.add("", "the settings can't be read");
        }
        settings
    }

    /// Notes the failure and arranges for the next attempt to get past it. False when there is no way.
    fn look_further(&mut self, failure: &Failure, attempt: &mut Attempt, missing: &mut Vec<String>) -> bool {
        let name = failure.setting.clone().unwrap_or_default();
        match failure.kind {
            Kind::Missing => {
                missing.push(name.clone());
                attempt.stand_ins.insert(name, 0).is_none()
            }
            Kind::Unknown => {
                self.unknown(&name);
                true
            }
            Kind::Bad => match attempt.stand_ins.get_mut(&name) {
                Some(tries) => {
                    *tries += 1;
                    *tries < TRIES
                }
                None => {
                    self.tell(&name, &failure.message);
                    // Whatever is absent and needed gets a stand-in.
                    attempt.hidden.insert(name)
                }
            },
        }
    }

    fn tell(&mut self, name: &str, message: &str) {
        if self.told.insert(name.to_owned()) {
            let origin = layers::find(self.tree, name).and_then(Value::origin).map(str::to_owned);
            self.problems.push(Problem { setting: name.to_owned(), message: message.to_owned(), origin });
        }
    }

    /// Takes an unknown setting out of the tree: it either names a file that holds the value, or it is a mistake.
    fn unknown(&mut self, name: &str) {
        for (setting, origin) in layers::leaves(self.tree, name) {
            let variable = origin.clone().filter(|origin| origin.starts_with(PREFIX));
            match (variable, setting.strip_suffix("_file")) {
                (Some(variable), Some(base)) if !base.is_empty() => self.take_from_file(&setting, base, &variable),
                _ => {
                    // Known only by its variable when it was read from a file that doesn't exist as a setting.
                    self.tell(&setting, "is not a setting");
                    layers::put(self.tree, &setting, None);
                }
            }
        }
        layers::put(self.tree, name, None);
    }

    fn take_from_file(&mut self, setting: &str, base: &str, origin: &str) {
        let path = match layers::find(self.tree, setting).map(|value| &value.kind) {
            Some(ValueKind::String(path)) => path.clone(),
            _ => String::new(),
        };
        layers::put(self.tree, setting, None);
        let set = layers::find(self.tree, base).and_then(Value::origin).is_some_and(|o| o.starts_with(PREFIX));
        if set {
            self.tell(base, &format!("is set twice, also by {origin}"));
            return;
        }
        match read_secret(Path::new(&path)) {
            Ok(text) => layers::put(self.tree, base, Some(Value::new(Some(&origin.to_owned()), text))),
            Err(reason) => {
                self.told.insert(base.to_owned());
                let message = format!("its file {reason}");
                self.problems.push(Problem { setting: base.to_owned(), message, origin: Some(origin.to_owned()) });
            }
        }
    }
}

/// The text of a file without the line break at its end.
fn read_secret(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LONGEST_SECRET).read_to_string(&mut text))
        .map_err(|error| format!("can't be read: {error}"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() { Err("is empty".to_owned()) } else { Ok(text.to_owned()) }
}

/// The variable of a setting, for those who write references.
#[must_use]
pub fn variable_of(setting: &str) -> String {
    variable(setting)
}
