//! The folder of a fleet: `.flotilla/` in the checkout, or the one in `--home`.

mod options;
pub mod own_servers;
pub mod ports;
mod record;
pub mod state;

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use flotilla_config::ByteSize;
use flotilla_servers::Rotation;

use self::record::{Place, Record};
use crate::SERVERS;

/// The default home.
pub const DEFAULT: &str = ".flotilla";

/// The fleet's folder and the files in it.
#[derive(Clone, Debug)]
pub struct Home {
    root: PathBuf,
    /// The path as the user typed it.
    given: PathBuf,
    record: Record,
    place: Place,
    project: String,
    rotation: Rotation,
}

impl Home {
    /// Opens the folder, creating it readable for its owner alone. `servers` is another fleet's folder whose fetched
    /// servers are used. Data of this home stay separate there, under names that contain its id, and the home remembers
    /// the folder from the first `up` on.
    ///
    /// # Errors
    /// If the folder can't be created or isn't a folder, or the home's data aren't in `servers`.
    pub fn open(given: &Path, servers: Option<&Path>) -> Result<Self> {
        // The servers' layout may open it to the servers' group later: only a fresh folder gets its mode here.
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(given)
            .with_context(|| format!("can't create {}", given.display()))?;
        let root = given.canonicalize()?;
        for folder in ["logs", "hold", "requests"] {
            fs::create_dir_all(root.join(folder))?;
        }
        let rotation = rotation(|name| std::env::var(name).ok())?;
        let record = Record::open(&root)?;
        let place = record.place(servers)?;
        let project = record.project();
        Ok(Self { root, given: given.to_owned(), record, place, project, rotation })
    }

    /// The random id that distinguishes this home from all others; it survives a reset.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.record.id
    }

    /// Records where the home's data are.
    ///
    /// # Errors
    /// If the record can't be written.
    pub fn remember_place(&self) -> Result<()> {
        let place = Some(self.place.clone());
        if self.record.place == place { Ok(()) } else { self.change_record(|record| record.place = place) }
    }

    /// Clears the record of where the data were, after they are deleted.
    ///
    /// # Errors
    /// If the record can't be written.
    pub fn forget_place(&self) -> Result<()> {
        self.change_record(|record| (record.place, record.project) = (None, None))
    }

    fn change_record(&self, change: impl FnOnce(&mut Record)) -> Result<()> {
        let mut record = Record::open(&self.root)?;
        change(&mut record);
        record.write()
    }

    /// The Compose project of this home's containers and volumes, which no other home uses.
    #[must_use]
    pub fn project(&self) -> &str {
        &self.project
    }

    /// Records the Compose project of the home's containers.
    ///
    /// # Errors
    /// If the record can't be written.
    pub fn remember_project(&self) -> Result<()> {
        self.change_record(|record| record.project = Some(self.project.clone()))
    }

    /// A command for this home, as a user would type it: `make up` for the checkout's own home, else with `--home`.
    #[must_use]
    pub fn command(&self, command: &str) -> String {
        self.naming(&format!("`fleet {command}`")).trim_matches('`').to_owned()
    }

    /// Adds this home to the commands that the text suggests, unless it is the checkout's own.
    #[must_use]
    pub fn naming(&self, text: &str) -> String {
        if self.given == Path::new(DEFAULT) {
            return text.to_owned();
        }
        let given = self.given.display().to_string();
        let plain = given.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+".contains(&byte));
        let given = if plain { given } else { format!("'{}'", given.replace('\'', "'\\''")) };
        let named = format!("`fleet --home {given} ");
        // Commands that already name the home stay as they are.
        let mut text = text.replace(&named, "`fleet ").replace("`fleet ", &named);
        for target in ["up", "down", "reset", "restart", "status", "logs"] {
            text = text.replace(&format!("`make {target}`"), &format!("`fleet --home {given} {target}`"));
        }
        text
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the servers' binaries and data.
    #[must_use]
    pub fn servers(&self) -> &Path {
        &self.place.servers
    }

    /// What a server of this fleet is called there.
    #[must_use]
    pub fn server_name(&self, name: &str) -> String {
        format!("{}{name}", self.place.prefix)
    }

    /// Whether the servers' folder is another fleet's.
    #[must_use]
    pub fn uses_servers_of_another(&self) -> bool {
        !self.place.prefix.is_empty()
    }

    /// The lock that a running supervisor holds.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.root.join("supervisor.lock")
    }

    /// The state that the supervisor last published.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.root.join("state.json")
    }

    /// The file with variables for a shell.
    #[must_use]
    pub fn env(&self) -> PathBuf {
        self.root.join("env")
    }

    /// The folder of a fleet in containers.
    #[must_use]
    pub fn containers(&self) -> PathBuf {
        self.root.join("compose")
    }

    /// Whether the fleet of this folder was started in containers and hasn't been stopped since.
    #[must_use]
    pub fn in_containers(&self) -> bool {
        self.containers().join("project").exists()
    }

    /// The file with the credentials.
    #[must_use]
    pub fn secrets(&self) -> PathBuf {
        self.root.join("secrets.json")
    }

    /// The file with the user's own servers that the fleet was last started with.
    #[must_use]
    pub fn external(&self) -> PathBuf {
        self.root.join("external.json")
    }

    /// Log of a service, a server or the supervisor.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        if SERVERS.contains(&name) {
            return self.servers().join("logs").join(format!("{}.log", self.server_name(name)));
        }
        self.root.join("logs").join(format!("{name}.log"))
    }

    /// The size at which a log is rotated, and how many old ones are kept.
    #[must_use]
    pub fn rotation(&self) -> Rotation {
        self.rotation
    }

    /// Marker: while it exists the supervisor leaves `name` stopped.
    #[must_use]
    pub fn hold_marker(&self, name: &str) -> PathBuf {
        self.root.join("hold").join(name)
    }

    /// Marker: a one-time request to the supervisor.
    #[must_use]
    pub fn request(&self, name: &str) -> PathBuf {
        self.root.join("requests").join(name)
    }

    /// Replaces a file atomically, readable only by its owner; a reader sees the old or the new one.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write_private(&self, path: &Path, content: &[u8]) -> Result<()> {
        let fresh = path.with_extension(format!("tmp{}", std::process::id()));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(content)?;
        drop(file);
        fs::rename(&fresh, path).with_context(|| format!("can't write {}", path.display()))
    }

    /// Opens a log for appending.
    ///
    /// # Errors
    /// When the file can't be opened.
    pub fn open_log(&self, name: &str) -> Result<File> {
        let path = self.log(name);
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("can't open {}", path.display()))
    }

    /// Whether a supervisor is running, or the fleet is in containers.
    ///
    /// # Errors
    /// If the lock can't be checked.
    pub fn is_running(&self) -> Result<bool> {
        if self.in_containers() {
            return Ok(true);
        }
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(self.lock())?;
        match file.try_lock() {
            Ok(()) => Ok(false),
            Err(fs::TryLockError::WouldBlock) => Ok(true),
            Err(fs::TryLockError::Error(error)) => Err(error.into()),
        }
    }
}

/// Reads `FLOTILLA_LOG_SIZE` (such as `16MiB`) and `FLOTILLA_LOG_FILES`, if they are set.
fn rotation(variable: impl Fn(&str) -> Option<String>) -> Result<Rotation> {
    let mut rotation = Rotation::default();
    if let Some(size) = variable("FLOTILLA_LOG_SIZE") {
        rotation.size = size.parse::<ByteSize>().context("FLOTILLA_LOG_SIZE")?.0;
    }
    if let Some(files) = variable("FLOTILLA_LOG_FILES") {
        rotation.kept = files.parse().context("FLOTILLA_LOG_FILES must be a number")?;
    }
    Ok(rotation)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic fails the test")]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_logs_can_be_chosen_and_a_mistake_is_refused() {
        let with = |size: &'static str| rotation(move |name| (name == "FLOTILLA_LOG_SIZE").then(|| size.to_owned()));
        assert_eq!(with("1MiB").unwrap(), Rotation { size: 1 << 20, ..Rotation::default() });
        assert!(with("large").unwrap_err().to_string().contains("FLOTILLA_LOG_SIZE"));
    }
}
