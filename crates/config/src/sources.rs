//! Where the settings of a process come from.
//!
//! | source, lowest precedence first | selected by |
//! |---|---|
//! | defaults | the type |
//! | layers in a directory: `base`, the environment's, the service's | `FLOTILLA_CONFIG_DIR` |
//! | files, in the given order | `FLOTILLA_CONFIG_FILE` |
//! | the remote source | [`RemoteLayer`] |
//! | an env file | `FLOTILLA_ENV_FILE`, else `./.env` if it exists |
//! | the environment | `FLOTILLA__SECTION__FIELD`, or an alias if the long name isn't set |
//! | mounted secrets, one file per setting | `FLOTILLA_SECRETS_DIR` |
//! | secret files | `FLOTILLA__SECTION__FIELD_FILE` |
//! | flags | `--section.field=value` |

use std::path::{Path, PathBuf};

use crate::names::{DIRECTORY, FILES, PREFIX, SECRETS, VARIABLES, own_prefix};
use crate::problems::Problem;

/// The default env file.
const DOTENV: &str = ".env";

/// All sources of settings. Each [`merge`](Self::merge) reads the files again; the environment and the flags of a
/// process don't change.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    pub(crate) service: Option<String>,
    /// The prefix of the service's own variables, in a process that runs several services.
    pub(crate) own_prefix: Option<String>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) arguments: Vec<String>,
    pub(crate) working_directory: Option<PathBuf>,
    pub(crate) file: Option<PathBuf>,
    pub(crate) problems: Vec<Problem>,
}

impl Sources {
    /// The given environment and the files it names. Independent of this process's environment, so tests can run in
    /// parallel.
    #[must_use]
    pub fn of(environment: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { environment: environment.into_iter().collect(), ..Self::default() }
    }

    /// The environment of this process and `./.env`.
    #[must_use]
    pub fn of_process() -> Self {
        let mut sources = Self { working_directory: Some(PathBuf::from(".")), ..Self::default() };
        for (name, value) in std::env::vars_os() {
            match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(value)) => sources.environment.push((name, value)),
                (Ok(name), Err(_)) if name.starts_with(PREFIX) => {
                    sources.problems.push(Problem::new(&name, "is not UTF-8").at(&name));
                }
                _ => {}
            }
        }
        sources
    }

    /// With this service's file in the layer directory.
    #[must_use]
    pub fn service(mut self, name: &str) -> Self {
        self.service = Some(name.to_owned());
        self
    }

    /// As [`service`](Self::service), for one of several services in this process. Its own variables take precedence over
    /// those of all: `FLOTILLA_ORDERS__SAGA__TICK` is the `FLOTILLA__SAGA__TICK` of orders alone. Files in the directory
    /// of mounted secrets may be named in the same way.
    #[must_use]
    pub fn service_of_several(mut self, name: &str) -> Self {
        self.own_prefix = Some(own_prefix(name));
        self.service(name)
    }

    /// With these flags: `--section.field=value` or `--section.field value`.
    #[must_use]
    pub fn arguments(mut self, arguments: impl IntoIterator<Item = String>) -> Self {
        self.arguments = arguments.into_iter().collect();
        self
    }

    /// With the `.env` of this directory, unless the environment names another file.
    #[must_use]
    pub fn working_directory(mut self, path: &Path) -> Self {
        self.working_directory = Some(path.to_owned());
        self
    }

    /// With this file in place of those that the environment names.
    #[must_use]
    pub fn file(mut self, path: &Path) -> Self {
        self.file = Some(path.to_owned());
        self
    }

    /// A non-empty variable of the environment.
    fn variable(&self, name: &str) -> Option<&str> {
        let find = |(known, value): &&(String, String)| known == name && !value.is_empty();
        self.environment.iter().find(find).map(|(_, value)| value.as_str())
    }

    /// The env file, and whether it is required.
    pub(crate) fn dotenv(&self) -> Option<(PathBuf, bool)> {
        match self.variable(VARIABLES) {
            Some(path) => Some((PathBuf::from(path), true)),
            None => self.working_directory.as_ref().map(|directory| (directory.join(DOTENV), false)),
        }
    }

    /// The files and directories that the environment, or else the env file, names.
    pub(crate) fn paths(&self, dotenv: &[(String, String)]) -> SourcePaths {
        let in_dotenv = |name: &str| dotenv.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let named = |name: &str| self.variable(name).or_else(|| in_dotenv(name)).filter(|value| !value.is_empty());
        let files = match &self.file {
            Some(file) => vec![file.clone()],
            None => named(FILES)
                .into_iter()
                .flat_map(|list| list.split(','))
                .map(str::trim)
                .filter(|path| !path.is_empty())
                .map(PathBuf::from)
                .collect(),
        };
        SourcePaths {
            files,
            directory: named(DIRECTORY).map(PathBuf::from),
            secrets: named(SECRETS).map(PathBuf::from),
        }
    }
}

/// Files and directories to read.
pub(crate) struct SourcePaths {
    pub files: Vec<PathBuf>,
    pub directory: Option<PathBuf>,
    pub secrets: Option<PathBuf>,
}
