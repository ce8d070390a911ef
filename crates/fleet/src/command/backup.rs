//! `fleet backup`: base backups of the databases of a native fleet, and the archive of their WAL.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use flotilla_backup::{
    FleetPaths, Folder, Session,
    archive::{self, Stopped},
    base, format_time,
};
use flotilla_servers::External;
use flotilla_terminal::{Table, bold, mib};

use super::confirmation::Confirmation;
use crate::{
    DATABASES,
    home::{Home, own_servers, state::State},
    runtime,
};

/// Options of `fleet backup`.
#[derive(Debug, Args)]
pub struct Options {
    /// Folder of the backup. It holds one fleet's history, from its first backup to its next restore.
    pub folder: PathBuf,
    /// Take only a base backup, without archiving WAL: only the time at which it ended can be restored.
    #[arg(long, conflicts_with_all = ["mark", "list", "stop"])]
    pub once: bool,
    /// Name the current moment as a restore point, without a base backup.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["list", "stop"])]
    pub mark: Option<String>,
    /// Show what can be restored from the folder.
    #[arg(long, conflicts_with = "stop")]
    pub list: bool,
    /// Stop archiving WAL. The content of the folder is kept.
    #[arg(long)]
    pub stop: bool,
    /// Number of base backups to keep; older ones are removed, with the WAL that only they need.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..))]
    pub keep: u16,
    /// Whether base backups may be removed without asking.
    #[command(flatten)]
    pub confirmation: Confirmation,
}

/// Runs the command.
///
/// # Errors
/// If the fleet isn't up, its PostgreSQL isn't private, or a tool of PostgreSQL fails; the error names the fix.
pub async fn run(home: &Home, options: Options) -> Result<()> {
    if options.list {
        return list(&Folder::open(&options.folder)?);
    }
    refuse_other(home)?;
    let url = State::of_running(home)?.database_url("postgres");
    let paths = paths(home);
    if options.stop {
        return stop(&paths, &url).await;
    }
    if let Some(name) = &options.mark {
        let mark = archive::add_restore_point(&paths, &url, &Folder::open(&options.folder)?, name).await?;
        println!("restore point {name} at {}", format_time(mark.at)?);
        return Ok(());
    }
    let session = Session::connect(&url).await?;
    let folder = Folder::prepare(&paths.layout()?, &options.folder, session.identity().await?)?;
    let _claim = folder.claim()?;
    let command = format!("backup {} --keep {}", options.folder.display(), options.keep);
    options.confirmation.ask(home, &command, &pruned(&folder, options.keep)?)?;
    if !options.once {
        archive::start(&paths, &session, &folder).await?;
    }
    let base = base::take(&paths, &url, &session, &folder).await?;
    println!(
        "{} in {}: {} in {:.1} s, verified",
        bold(&base.name),
        folder.path().display(),
        mib(base.note.bytes / 1024),
        base.note.seconds
    );
    for name in folder.thin(usize::from(options.keep))? {
        println!("removed {name}: only the newest {} are kept", options.keep);
    }
    if options.once {
        println!("WAL isn't archived: only the end of this backup can be restored to");
    } else {
        let restore = home.command(&format!("restore {}", folder.path().display()));
        println!("WAL is archived there while the fleet is up; run `{restore}` to restore");
    }
    Ok(())
}

/// The base backups that a new one replaces. Removing only the oldest is the normal effect of a nightly backup and
/// needs no confirmation; removing several does.
fn pruned(folder: &Folder, keep: u16) -> Result<Vec<String>> {
    let bases = folder.bases()?;
    let going = (bases.len() + 1).saturating_sub(usize::from(keep));
    if going <= 1 {
        return Ok(Vec::new());
    }
    Ok(bases.iter().take(going).map(|base| format!("the base backup {}", base.path.display())).collect())
}

/// The fleet of a home, as backups see it.
pub fn paths(home: &Home) -> FleetPaths {
    FleetPaths {
        folder: home.root().to_owned(),
        secrets: home.secrets(),
        servers: home.servers().to_owned(),
        postgres: home.server_name("postgres"),
        nats: home.server_name("nats"),
        databases: DATABASES.map(str::to_owned).into(),
    }
}

async fn stop(paths: &FleetPaths, url: &str) -> Result<()> {
    match archive::stop(paths, url).await? {
        Stopped::Nothing => println!("WAL isn't archived"),
        Stopped::Archive(folder) => {
            println!("WAL is no longer archived to {}; its content is kept", folder.display());
        }
        Stopped::Slot => println!("WAL isn't archived; PostgreSQL no longer retains WAL for an archive"),
    }
    Ok(())
}

/// Refuses a PostgreSQL that the user provides or that runs in a container: this command can't back it up.
///
/// # Errors
/// If it is one of these; the error says how to back it up.
pub fn refuse_other(home: &Home) -> Result<()> {
    runtime::of(home).require_backups()?;
    if own_servers::agreed(home, External::from_env())?.postgres.is_some() {
        bail!("PostgreSQL is your own (FLOTILLA_USE_POSTGRES_URL): back it up with its own tools, see docs/backup.md");
    }
    Ok(())
}

fn list(folder: &Folder) -> Result<()> {
    let mut table = Table::new(&["base backup", "restores from", ">size"]);
    for base in folder.bases()? {
        table.row([base.name.clone(), format_time(base.note.ended)?, mib(base.note.bytes / 1024)]);
    }
    print!("{}", table.render());
    for mark in folder.restore_points()? {
        println!("restore point {} at {}", bold(&mark.name), format_time(mark.at)?);
    }
    match folder.archived()? {
        Some((files, bytes, last)) => {
            println!("WAL: {files} files, {}, written until {}", mib(bytes / 1024), format_time(last)?);
        }
        None => println!("WAL: none; only the end of a base backup can be restored to"),
    }
    Ok(())
}
