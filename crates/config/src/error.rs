//! The error of loading.

use std::fmt;
use std::path::PathBuf;

use crate::problems::Problem;

/// The settings can't be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file can't be read or parsed.
    File {
        /// The file, or the directory.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// Settings are invalid; every problem found.
    Settings(Vec<Problem>),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, message } => write!(f, "settings file {}: {message}", path.display()),
            Self::Settings(problems) => {
                write!(f, "invalid setting{}:", if problems.len() == 1 { "" } else { "s" })?;
                for problem in problems {
                    write!(f, "\n  {problem}")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ConfigError {}
