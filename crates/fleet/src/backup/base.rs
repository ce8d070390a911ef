//! Taking one base backup.

use std::{
    fs,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use flotilla_servers::Layout;
use time::macros::format_description;
use tokio::process::Command;

use super::{
    folder::{Base, BaseNote, Folder, write_whole},
    session::{Session, connect},
};
use crate::{control, home::Home, state::State};

/// A base backup or its verification that takes longer has hung.
const PATIENCE: Duration = Duration::from_secs(6 * 3_600);

/// Copies the cluster while it serves, verifies the copy, and notes it as complete. What has failed leaves nothing.
pub async fn take(home: &Home, state: &State, session: &Session, layout: &Layout, folder: &Folder) -> Result<Base> {
    let name = session.now().await?.format(format_description!("[year][month][day]T[hour][minute][second]Z"))?;
    let path = folder.base().join(&name);
    if path.exists() {
        bail!("{} is there already: try again", path.display());
    }
    match fill(home, state, session, layout, &path).await {
        Ok(note) => Ok(Base { name, path, note }),
        Err(error) => {
            // What can't be removed now goes with the next backup.
            drop(fs::remove_dir_all(&path));
            Err(error)
        }
    }
}

async fn fill(home: &Home, state: &State, session: &Session, layout: &Layout, path: &Path) -> Result<BaseNote> {
    let began = Instant::now();
    layout.share(path)?;
    let cluster = layout.lend(&path.join("cluster"))?;
    let segment = "SELECT pg_walfile_name(redo_lsn) FROM pg_control_checkpoint()";
    // The backup begins at a checkpoint that is still to come: this one is never too late.
    let first_segment: String = session.one(segment, &[]).await?.try_get(0)?;
    let mut copy = control::postgres_tool(home, "pg_basebackup").await?;
    copy.args(["--format=plain", "--wal-method=stream", "--checkpoint=fast", "--no-password", "--pgdata"])
        .arg(&cluster);
    connect(&mut copy, &state.database_url("postgres"), "flotilla_backup")?;
    finish(copy, "pg_basebackup").await?;
    verify(home, &cluster).await?;
    // The roles' passwords in the copy are those.
    write_whole(&path.join("secrets.json"), &fs::read(home.secrets())?)?;
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
pub async fn verify(home: &Home, cluster: &Path) -> Result<()> {
    let mut verify = control::postgres_tool(home, "pg_verifybackup").await?;
    verify.args(["--exit-on-error", "--quiet"]).arg(cluster);
    finish(verify, "pg_verifybackup").await
}

async fn finish(mut command: Command, name: &str) -> Result<()> {
    let output = command.stdin(Stdio::null()).output();
    let output = tokio::time::timeout(PATIENCE, output)
        .await
        .with_context(|| format!("{name} takes too long"))?
        .with_context(|| format!("{name} can't be run"))?;
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
