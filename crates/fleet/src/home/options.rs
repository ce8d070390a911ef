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

impl Home {
    /// Whether the fleet speaks TLS, as the last `up` said.
    #[must_use]
    pub fn tls(&self) -> bool {
        self.root.join(TLS).exists()
    }

    /// Remembers whether the fleet speaks TLS.
    ///
    /// # Errors
    /// When the marker can't be written or removed.
    pub fn set_tls(&self, tls: bool) -> Result<()> {
        self.set(TLS, tls)
    }

    /// Whether faults may be switched on in the services, as the last `up` said.
    #[must_use]
    pub fn faults(&self) -> bool {
        self.root.join(FAULTS).exists()
    }

    /// Remembers whether faults may be switched on.
    ///
    /// # Errors
    /// When the marker can't be written or removed.
    pub fn set_faults(&self, faults: bool) -> Result<()> {
        self.set(FAULTS, faults)
    }

    /// Whether Prometheus and the others run beside the fleet, as the last `up` said.
    #[must_use]
    pub fn observability(&self) -> bool {
        self.root.join(OBSERVABILITY).exists()
    }

    /// Remembers whether Prometheus and the others run beside the fleet.
    ///
    /// # Errors
    /// When the marker can't be written or removed.
    pub fn set_observability(&self, wanted: bool) -> Result<()> {
        self.set(OBSERVABILITY, wanted)
    }

    /// The binary that a service runs instead of the one beside `fleet`, where one was chosen.
    ///
    /// # Errors
    /// When the note of it can't be read.
    pub fn binary(&self, service: &str) -> Result<Option<PathBuf>> {
        match fs::read_to_string(self.binaries().join(service)) {
            Ok(path) => Ok(Some(PathBuf::from(path))),
            Err(error) if error.kind() == NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Remembers the binary of a service for its next start and all that follow, until [`forget_binaries`].
    ///
    /// [`forget_binaries`]: Self::forget_binaries
    ///
    /// # Errors
    /// When there is no such file, or the note can't be written.
    pub fn set_binary(&self, service: &str, binary: &Path) -> Result<()> {
        let binary = binary.canonicalize().with_context(|| format!("there is no {}", binary.display()))?;
        let path = binary.to_str().with_context(|| format!("{} is no text", binary.display()))?;
        fs::create_dir_all(self.binaries())?;
        self.write_private(&self.binaries().join(service), path.as_bytes())
    }

    /// From its next start on, each service runs the binary beside `fleet` again.
    ///
    /// # Errors
    /// When a note can't be removed.
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
        match if on { fs::write(marker, b"") } else { fs::remove_file(marker) } {
            Err(error) if error.kind() != NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}
