//! Taking one base backup.

use std::{
    fs,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use flotilla_servers::{Layout, postgres_tool};
use time::macros::format_description;
use tokio::process::Command;

use crate::{
    folder::{Base, BaseNote, Folder, write_whole},
    paths::FleetPaths,
    session::{Session, connect},
};

/// The timeout of a base backup or its verification.
const PATIENCE: Duration = Duration::from_secs(6 * 3_600);

/// Copies the running cluster, verifies the copy, and marks it as complete. A failed one leaves nothing.
///
/// # Errors
/// When PostgreSQL or one of its tools fails, or the copy doesn't pass its verification.
pub async fn take(paths: &FleetPaths, url: &str, session: &Session, folder: &Folder) -> Result<Base> {
    let name = session.now().await?.format(format_description!("[year][month][day]T[hour][minute][second]Z"))?;
    let path = folder.base().join(&name);
    if path.exists() {
        bail!("{} already exists: try again", path.display());
    }
    match fill(paths, url, session, &path).await {
        Ok(note) => Ok(Base { name, path, note }),
        Err(error) => {
            // If it can't be removed now, the next backup removes it.
            drop(fs::remove_dir_all(&path));
            Err(error)
        }
    }
}

async fn fill(paths: &FleetPaths, url: &str, session: &Session, path: &Path) -> Result<BaseNote> {
    let (began, layout) = (Instant::now(), paths.layout()?);
    layout.create_traversable(path)?;
    let cluster = layout.create_writable(&path.join("cluster"))?;
    let segment = "SELECT pg_walfile_name(redo_lsn) FROM pg_control_checkpoint()";
    // The backup begins at a later checkpoint, so this one is never too late.
    let first_segment: String = session.one(segment, &[]).await?.try_get(0)?;
    let mut copy = postgres_tool(&layout, "pg_basebackup").await?;
    copy.args(["--format=plain", "--wal-method=stream", "--checkpoint=fast", "--no-password", "--pgdata"])
        .arg(&cluster);
    connect(&mut copy, url, "flotilla_backup")?;
    finish(copy, "pg_basebackup").await?;
    verify(&layout, &cluster).await?;
    // These are the passwords of the roles in the copy.
    write_whole(&path.join("secrets.json"), &fs::read(&paths.secrets)?)?;
    let note = BaseNote {
        ended: session.now().await?,
        first_segment,
        bytes: size(&cluster)?,
        seconds: began.elapsed().as_secs_f64(),
        postgres: session.one("SHOW server_version", &[]).await?.try_get(0)?,
    };
    write_whole(&path.join("base.json"), &serde_json::to_vec_pretty(&note)?)?;
    Ok(note)
}

/// Compares every file with the checksum that was taken when it was copied.
///
/// # Errors
/// When a file differs or is missing.
pub async fn verify(layout: &Layout, cluster: &Path) -> Result<()> {
    let mut verify = postgres_tool(layout, "pg_verifybackup").await?;
    verify.args(["--exit-on-error", "--quiet"]).arg(cluster);
    finish(verify, "pg_verifybackup").await
}

async fn finish(mut command: Command, name: &str) -> Result<()> {
    let output = command.stdin(Stdio::null()).output();
    let output = tokio::time::timeout(PATIENCE, output)
        .await
        .with_context(|| format!("{name} takes too long"))?
        .with_context(|| format!("can't run {name}"))?;
    if !output.status.success() {
        bail!("{name} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        bytes += if about.is_dir() { size(&entry.path())? } else { about.len() };
    }
    Ok(bytes)
}
