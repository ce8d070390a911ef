//! `fleet backup` and `fleet restore`: the databases of a native fleet, kept and brought back to a point in time.
//!
//! A backup's folder holds base backups of the whole cluster and the archive of its WAL, which the supervisor streams
//! there from the first backup on (`supervisor::archive`). All databases lie in one cluster, so that one point
//! in its WAL is a consistent cut through all services. Streams aren't kept: after a restore the relays fill them again.

mod archive;
mod base;
mod broker;
mod folder;
mod own;
mod restore;
mod session;
mod wal;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use flotilla_servers::{External, Layout};
use flotilla_terminal::{Table, bold, mib};

use self::folder::Folder;
pub use self::{
    archive::{NAME as ARCHIVE, SLOT, folder as archive_folder, streams, wal},
    own::{own_servers, remember as remember_own},
    restore::{Options as RestoreOptions, forget, retention, run as restore, unfinished},
    session::{connect, without_password},
};
use crate::{consent::Consent, home::Home, state::State};

/// Options of `fleet backup`.
#[derive(Debug, Args)]
pub struct Options {
    /// The backup's folder: of one fleet, from its first backup to its next restore.
    pub folder: PathBuf,
    /// Take the base backup alone: without archiving WAL from then on, only its own end can be restored.
    #[arg(long, conflicts_with_all = ["mark", "list", "stop"])]
    pub once: bool,
    /// Give the present moment a name to restore to, and take no base backup.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["list", "stop"])]
    pub mark: Option<String>,
    /// Show what can be restored from the folder.
    #[arg(long, conflicts_with = "stop")]
    pub list: bool,
    /// Archive WAL no longer. What the folder holds stays.
    #[arg(long)]
    pub stop: bool,
    /// Base backups to keep; older ones go, with the WAL that only they need.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..))]
    pub keep: u16,
    /// Whether base backups may be removed without asking.
    #[command(flatten)]
    pub consent: Consent,
}

/// Does what the options say.
///
/// # Errors
/// When the fleet isn't up, its PostgreSQL isn't its own, or a tool of PostgreSQL fails; the text says what to do.
pub async fn run(home: &Home, options: Options) -> Result<()> {
    if options.list {
        return list(&Folder::open(&options.folder)?);
    }
    refuse_other(home)?;
    let state = State::of_running(home)?;
    if options.stop {
        return archive::stop(home, &state).await;
    }
    if let Some(name) = &options.mark {
        return archive::mark(home, &state, &Folder::open(&options.folder)?, name).await;
    }
    let layout = Layout::open(home.servers())?;
    let session = session::Session::open(&state).await?;
    let folder = Folder::prepare(&layout, &options.folder, session.identity().await?)?;
    let _claim = folder.claim()?;
    let command = format!("backup {} --keep {}", options.folder.display(), options.keep);
    options.consent.ask(home, &command, &pruned(&folder, options.keep)?)?;
    if !options.once {
        archive::start(home, &session, &folder).await?;
    }
    let base = base::take(home, &state, &session, &layout, &folder).await?;
    println!(
        "{} in {}: {} in {:.1} s, verified",
        bold(&base.name),
        folder.path().display(),
        mib(base.note.bytes / 1024),
        base.note.seconds
    );
    for name in folder.thin(usize::from(options.keep))? {
        println!("{name} is gone: the {} newest are kept", options.keep);
    }
    if options.once {
        println!("WAL isn't archived: only the end of this backup can be restored");
    } else {
        let restore = home.command(&format!("restore {}", folder.path().display()));
        println!("WAL is archived there while the fleet is up; `{restore}` restores");
    }
    Ok(())
}

/// The base backups that a new one pushes out. Removing only the oldest is the normal effect of a nightly backup and
/// needs no confirmation; removing several does.
fn pruned(folder: &Folder, keep: u16) -> Result<Vec<String>> {
    let bases = folder.bases()?;
    let going = (bases.len() + 1).saturating_sub(usize::from(keep));
    if going <= 1 {
        return Ok(Vec::new());
    }
    Ok(bases.iter().take(going).map(|base| format!("the base backup {}", base.path.display())).collect())
}

/// A PostgreSQL that the user brings, or that runs in a container, isn't ours to back up.
fn refuse_other(home: &Home) -> Result<()> {
    if home.in_containers() {
        bail!("the fleet runs in containers: docs/runbooks/restore-databases.md says what to do there");
    }
    if own::agreed(home, External::from_env())?.postgres.is_some() {
        bail!(
            "PostgreSQL is your own (FLOTILLA_USE_POSTGRES_URL): back it up by its own means, as docs/backup.md says"
        );
    }
    Ok(())
}

fn list(folder: &Folder) -> Result<()> {
    let mut table = Table::new(&["base backup", "restores from", ">size"]);
    for base in folder.bases()? {
        table.row([base.name.clone(), session::shown(base.note.ended)?, mib(base.note.bytes / 1024)]);
    }
    print!("{}", table.render());
    for mark in folder.marks()? {
        println!("restore point {} at {}", bold(&mark.name), session::shown(mark.at)?);
    }
    match folder.archived()? {
        Some((files, bytes, last)) => {
            println!("WAL: {files} files, {}, written until {}", mib(bytes / 1024), session::shown(last)?);
        }
        None => println!("WAL: none; only the end of a base backup can be restored"),
    }
    Ok(())
}
