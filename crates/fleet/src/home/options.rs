//! The options with which a home's fleet was last started, stored as files in the home; other commands use them too.

use std::{
    fs,
    io::ErrorKind::NotFound,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::Home;

/// Files that exist while the option is on.
const TLS: &str = "tls";
const FAULTS: &str = "faults";
const OBSERVABILITY: &str = "observed";
const ONE_PROCESS: &str = "one-process";

impl Home {
    /// Whether the fleet uses TLS, as chosen at the last `up`.
    #[must_use]
    pub fn tls(&self) -> bool {
        self.root.join(TLS).exists()
    }

    /// Records whether the fleet uses TLS.
    ///
    /// # Errors
    /// When the marker can't be written or removed.
    pub fn set_tls(&self, tls: bool) -> Result<()> {
        self.set(TLS, tls)
    }

    /// Whether faults may be switched on in the services, as chosen at the last `up`.
    #[must_use]
    pub fn faults(&self) -> bool {
        self.root.join(FAULTS).exists()
    }

    /// Records whether faults may be switched on.
    ///
    /// # Errors
    /// When the marker can't be written or removed.
    pub fn set_faults(&self, faults: bool) -> Result<()> {
        self.set(FAULTS, faults)
    }

    /// Whether Prometheus and the others run beside the fleet, as chosen at the last `up`.
    #[must_use]
    pub fn observability(&self) -> bool {
        self.root.join(OBSERVABILITY).exists()
    }

    /// Records whether Prometheus and the others run beside the fleet.
    ///
    /// # Errors
    /// When the marker can't be written or removed.
    pub fn set_observability(&self, wanted: bool) -> Result<()> {
        self.set(OBSERVABILITY, wanted)
    }

    /// Whether all services run in one process, as chosen at the last `up`.
    #[must_use]
    pub fn one_process(&self) -> bool {
        self.root.join(ONE_PROCESS).exists()
    }

    /// Records whether all services run in one process.
    ///
    /// # Errors
    /// When the marker can't be written or removed.
    pub fn set_one_process(&self, wanted: bool) -> Result<()> {
        self.set(ONE_PROCESS, wanted)
    }

    /// The binary that was chosen for a service instead of the one beside `fleet`.
    ///
    /// # Errors
    /// If the record of it can't be read.
    pub fn binary(&self, service: &str) -> Result<Option<PathBuf>> {
        match fs::read_to_string(self.binaries().join(service)) {
            Ok(path) => Ok(Some(PathBuf::from(path))),
            Err(error) if error.kind() == NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Records the binary of a service for its next start and all that follow, until [`forget_binaries`].
    ///
    /// [`forget_binaries`]: Self::forget_binaries
    ///
    /// # Errors
    /// If there is no such file, or the record can't be written.
    pub fn set_binary(&self, service: &str, binary: &Path) -> Result<()> {
        let binary = binary.canonicalize().with_context(|| format!("{} doesn't exist", binary.display()))?;
        let path = binary.to_str().with_context(|| format!("the path {} is not UTF-8", binary.display()))?;
        fs::create_dir_all(self.binaries())?;
        self.write_private(&self.binaries().join(service), path.as_bytes())
    }

    /// Lets each service run the binary beside `fleet` again from its next start on.
    ///
    /// # Errors
    /// If a record can't be removed.
    pub fn forget_binaries(&self) -> Result<()> {
        match fs::remove_dir_all(self.binaries()) {
            Err(error) if error.kind() != NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn binaries(&self) -> PathBuf {
        self.root.join("binaries")
    }

    fn set(&self, option: &str, on: bool) -> Result<()> {
        let marker = self.root.join(option);
        match if on { fs::write(&marker, b"") } else { fs::remove_file(&marker) } {
            Err(error) if error.kind() != NotFound => {
                Err(error).with_context(|| format!("{} can't be changed", marker.display()))
            }
            _ => Ok(()),
        }
    }
}
