//! Where a fleet runs: natively under our own supervisor, or as containers by Compose. Kubernetes is brought up by a
//! script; its fleet is no fleet of this folder.

pub mod compose;
mod containers;
mod files;
mod told;

use anyhow::{Result, bail};
use flotilla_config::unknown;

/// What `--runtime` chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// Processes of this machine.
    Native,
    /// Containers of this machine.
    Compose,
}

impl Runtime {
    /// Reads the name as it is typed.
    ///
    /// # Errors
    /// When there is none of that name, or another command brings it up.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "native" => Ok(Self::Native),
            "compose" => Ok(Self::Compose),
            "k8s" => bail!(
                "`make up RUNTIME=k8s` brings a cluster up: it builds and loads the images, which this command can't"
            ),
            other => bail!(unknown("runtime", other, ["native", "compose", "k8s"])),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests are told by a panic")]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_that_is_not_known_is_told_what_there_is() {
        assert_eq!(Runtime::named("compose").unwrap(), Runtime::Compose);
        assert!(Runtime::named("k8s").unwrap_err().to_string().contains("make up RUNTIME=k8s"));
        let refused = Runtime::named("docker").unwrap_err().to_string();
        assert_eq!(refused, "unknown runtime \"docker\"; use one of native, compose, k8s");
        assert!(
            Runtime::named("composse").unwrap_err().to_string().contains("unknown runtime \"composse\"; use one of")
        );
    }
}
