//! Where the settings of a process come from.
//!
//! | weakest first | named by |
//! |---|---|
//! | defaults | the type |
//! | files of a directory: `base`, the environment's, the service's | `FLOTILLA_CONFIG_DIR` |
//! | files, in their order | `FLOTILLA_CONFIG_FILE` |
//! | the remote source | [`RemoteLayer`] |
//! | the `.env` file | `FLOTILLA_ENV_FILE`, else `./.env` if there is one |
//! | the environment | `FLOTILLA__SECTION__FIELD`, an alias where the long name isn't set |
//! | mounted secrets, one file a setting | `FLOTILLA_SECRETS_DIR` |
//! | secret files | `FLOTILLA__SECTION__FIELD_FILE` |
//! | flags | `--section.field=value` |

use std::path::{Path, PathBuf};

use crate::names::{DIRECTORY, FILES, PREFIX, SECRETS, VARIABLES};
use crate::problems::Problem;

/// That file, if none is named.
const DOTENV: &str = ".env";

/// Everything that settings are read from; read again by each [`merge`](Self::merge), but for the environment and the
/// flags, which a process keeps.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    pub(crate) service: Option<String>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) arguments: Vec<String>,
    pub(crate) working_directory: Option<PathBuf>,
    pub(crate) file: Option<PathBuf>,
    pub(crate) problems: Vec<Problem>,
}

impl Sources {
    /// The given environment and what it names. Nothing of this process takes part, so that tests can run side by side.
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

    /// For this service: its file in the directory of layers counts.
    #[must_use]
    pub fn service(mut self, name: &str) -> Self {
        self.service = Some(name.to_owned());
        self
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

    /// With this file instead of those that the environment names.
    #[must_use]
    pub fn file(mut self, path: &Path) -> Self {
        self.file = Some(path.to_owned());
        self
    }

    /// A variable of the environment that isn't empty.
    fn variable(&self, name: &str) -> Option<&str> {
        let find = |(known, value): &&(String, String)| known == name && !value.is_empty();
        self.environment.iter().find(find).map(|(_, value)| value.as_str())
    }

    /// The file of variables, and whether it must be there.
    pub(crate) fn dotenv(&self) -> Option<(PathBuf, bool)> {
        match self.variable(VARIABLES) {
            Some(path) => Some((PathBuf::from(path), true)),
            None => self.working_directory.as_ref().map(|directory| (directory.join(DOTENV), false)),
        }
    }

    /// Where to look, as the environment or else the file of variables says.
    pub(crate) fn paths(&self, dotenv: &[(String, String)]) -> SourcePaths {
        let further = |name: &str| dotenv.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let named = |name: &str| self.variable(name).or_else(|| further(name)).filter(|value| !value.is_empty());
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
