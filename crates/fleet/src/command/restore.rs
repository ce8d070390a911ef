//! `fleet restore`: restores the databases of a stopped fleet to a point in time.

use std::{
    fs::{self, OpenOptions},
    path::PathBuf,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use flotilla_backup::{
    Broker, Folder, format_time,
    restore::{self, Plan, Point},
};
use flotilla_servers::{External, data_below};
use flotilla_terminal::bold;
use tokio::time::Instant;

use super::{
    backup::{paths, refuse_other},
    confirmation::Confirmation,
};
use crate::{
    credentials::{nats_users, secrets::Secrets},
    home::{Home, own_servers},
};

/// Options of `fleet restore`.
#[derive(Debug, Args)]
pub struct Options {
    /// Folder of the backup.
    pub folder: PathBuf,
    /// Restore to the last transaction committed by this time, such as `2026-01-31T12:00:00Z` (default: the end of the
    /// archive).
    #[arg(long, value_name = "TIME", conflicts_with = "to_name")]
    pub to: Option<String>,
    /// Restore to a restore point created with `fleet backup --mark`.
    #[arg(long, value_name = "NAME")]
    pub to_name: Option<String>,
    /// Whether current data may be replaced without asking.
    #[command(flatten)]
    pub confirmation: Confirmation,
}

impl Options {
    fn point(&self) -> Point {
        match (&self.to, &self.to_name) {
            (_, Some(name)) => Point::Name(name.clone()),
            (Some(time), None) => Point::Time(time.clone()),
            (None, None) => Point::End,
        }
    }

    /// The command as the user typed it.
    fn typed(&self) -> String {
        let folder = self.folder.display();
        match self.point() {
            Point::End => format!("restore {folder}"),
            Point::Time(time) => format!("restore {folder} --to {time}"),
            Point::Name(name) => format!("restore {folder} --to-name {name}"),
        }
    }
}

/// Restores, and prints where the previous data are.
///
/// # Errors
/// If the fleet is up, the point isn't in the backup, or a server fails. Until the replay has succeeded, the current
/// data are unchanged; after that, `up` refuses to start until a restore has completed.
pub async fn run(home: &Home, options: Options) -> Result<()> {
    refuse_other(home)?;
    // Held until the end, so that no supervisor can start.
    let lock = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(home.lock())?;
    if lock.try_lock().is_err() {
        bail!("the fleet is up: run `make down` first");
    }
    let began = Instant::now();
    let plan = Plan::new(Folder::open(&options.folder)?, &options.point())?;
    options.confirmation.ask(home, &options.typed(), &losses(home)?)?;
    home.remember_place()?;
    let secrets = fs::read(plan.base().secrets())?;
    let secrets: Secrets = serde_json::from_slice(&secrets).context("secrets.json is damaged")?;
    let show = |line: &str| println!("{line}");
    let restored = restore::run(&paths(home), &plan, secrets.postgres_password, || broker(home), &show).await?;

    println!(
        "restored to {} in {:.1} s; {} streams deleted",
        bold(&format_time(restored.to)?),
        began.elapsed().as_secs_f64(),
        restored.streams
    );
    if let Some(aside) = restored.aside {
        let before = format!(
            "the previous data are in {} (delete them when you no longer need them; `make reset` does too)",
            aside.display()
        );
        println!("{}", home.naming(&before));
    }
    let next = "WAL is no longer archived: start the fleet (`make up`) and begin a new backup in a new folder";
    println!("{}", home.naming(next));
    Ok(())
}

/// The broker whose streams are deleted: the user's own, or the fleet's with its current passwords.
fn broker(home: &Home) -> Result<Broker> {
    if let Some(url) = own_servers::agreed(home, External::from_env())?.nats {
        return Ok(Broker::Running(url));
    }
    let users = nats_users::users(&Secrets::complete(home)?.nats_passwords);
    let commands = users.iter().find(|user| user.name == nats_users::COMMANDS).cloned();
    Ok(Broker::Own { commands: commands.context("NATS has no user for the fleet's commands")?, users })
}

/// What the restore replaces or deletes.
fn losses(home: &Home) -> Result<Vec<String>> {
    let mut losses = Vec::new();
    let data = data_below(home.servers(), &home.server_name("postgres"));
    if let Some(data) = data.filter(|data| data.join("cluster").exists()) {
        losses.push(format!("the current state of the databases in {} (a copy is kept there)", data.display()));
    }
    match own_servers::agreed(home, External::from_env())?.nats {
        Some(_) => {
            losses.push(
                "the streams of your own NATS (FLOTILLA_USE_NATS_URL), which are refilled from the databases"
                    .to_owned(),
            );
        }
        None => {
            let data = data_below(home.servers(), &home.server_name("nats"));
            losses.extend(
                data.map(|data| format!("the streams in {}, which are refilled from the databases", data.display())),
            );
        }
    }
    Ok(losses)
}
