//! The archive of WAL: `pg_receivewal`, kept alive while a backup's folder asks for it. Nothing runs before that.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Result;
use flotilla_servers::{Layout, provision};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::{
    FIRST_PAUSE, LONGEST_PAUSE,
    board::Board,
    charge::{self, Charge, Pace},
};
use crate::{backup, home::Home};

/// How often it is looked whether WAL is to be archived.
const LOOK: Duration = Duration::from_millis(200);
/// Pause after the receiver could not even be found.
const PAUSE: Duration = Duration::from_secs(5);

/// Archives to the folder that the fleet's marker names, as long as it does, until `stop`.
pub async fn keep(home: Home, board: Arc<Board>, stop: CancellationToken) {
    let mut look = tokio::time::interval(LOOK);
    while stop.run_until_cancelled(look.tick()).await.is_some() {
        let Some(folder) = backup::archive_folder(&home) else { continue };
        let receiver = match Receiver::find(&home, &board, &folder).await {
            Ok(receiver) => receiver,
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "WAL can't be archived");
                stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
                continue;
            }
        };
        board.add_server(backup::ARCHIVE, None, folder.display().to_string(), None);
        let this_run = stop.child_token();
        let watch = async {
            while backup::archive_folder(&home).as_ref() == Some(&folder) && !this_run.is_cancelled() {
                look.tick().await;
            }
            this_run.cancel();
        };
        tokio::join!(charge::keep_alive(&receiver, &home, &board, &this_run), watch);
        board.remove(backup::ARCHIVE);
    }
}

struct Receiver {
    layout: Layout,
    program: PathBuf,
    url: String,
    wal: PathBuf,
}

impl Receiver {
    async fn find(home: &Home, board: &Board, backup: &std::path::Path) -> Result<Self> {
        let layout = Layout::open(home.servers())?;
        let binaries = provision(&layout, &|_: &str| {}).await?;
        let program = binaries.postgres.join("pg_receivewal");
        Ok(Self { layout, program, url: board.database_url("postgres"), wal: backup::wal(backup) })
    }
}

impl Charge for Receiver {
    const PACE: Pace = Pace {
        first: FIRST_PAUSE,
        longest: LONGEST_PAUSE,
        long_life: Duration::from_secs(10),
        ready: Duration::from_millis(100),
    };

    fn name(&self) -> &'static str {
        backup::ARCHIVE
    }

    fn command(&self) -> Result<Command> {
        let mut command = self.layout.command(&self.program);
        // Synchronous: what has arrived is on the disk at once, and PostgreSQL knows. Started again by us alone.
        command.args(["--synchronous", "--no-loop", "--no-password", "--slot", backup::SLOT, "--directory"]);
        command.arg(&self.wal);
        backup::connect(&mut command, &self.url, backup::SLOT)?;
        Ok(command)
    }

    async fn is_ready(&self) -> bool {
        backup::streams(&self.url).await
    }
}
