//! The archive of WAL: `pg_receivewal`, kept alive while archiving to a backup's folder is enabled.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Result;
use flotilla_backup::archive;
use flotilla_servers::{Layout, provision};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::{
    backoff::{FIRST_PAUSE, LONGEST_PAUSE},
    keep_alive::{self, RestartPolicy, Supervised},
    shared_state::SharedState,
};
use crate::home::Home;

/// How often to check whether WAL is to be archived.
const LOOK: Duration = Duration::from_millis(200);
/// Pause if the receiver can't be found.
const PAUSE: Duration = Duration::from_secs(5);

/// Archives to the folder that the fleet's marker names, as long as there is one, until `stop`.
pub async fn keep(home: Home, shared: Arc<SharedState>, stop: CancellationToken) {
    let mut look = tokio::time::interval(LOOK);
    while stop.run_until_cancelled(look.tick()).await.is_some() {
        let Some(folder) = archive::folder(home.root()) else { continue };
        let receiver = match Receiver::find(&home, &shared, &folder).await {
            Ok(receiver) => receiver,
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "WAL can't be archived");
                stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
                continue;
            }
        };
        shared.add_server(archive::NAME, None, folder.display().to_string(), None);
        let this_run = stop.child_token();
        let watch = async {
            while archive::folder(home.root()).as_ref() == Some(&folder) && !this_run.is_cancelled() {
                look.tick().await;
            }
            this_run.cancel();
        };
        tokio::join!(keep_alive::keep_alive(&receiver, &home, &shared, &this_run), watch);
        shared.remove(archive::NAME);
    }
}

struct Receiver {
    layout: Layout,
    program: PathBuf,
    url: String,
    backup: PathBuf,
}

impl Receiver {
    async fn find(home: &Home, shared: &SharedState, backup: &std::path::Path) -> Result<Self> {
        let layout = Layout::open(home.servers())?;
        let binaries = provision(&layout, &|_: &str| {}).await?;
        let program = binaries.postgres.join("pg_receivewal");
        Ok(Self { layout, program, url: shared.database_url("postgres"), backup: backup.to_owned() })
    }
}

impl Supervised for Receiver {
    const POLICY: RestartPolicy = RestartPolicy {
        first: FIRST_PAUSE,
        longest: LONGEST_PAUSE,
        long_life: Duration::from_secs(10),
        ready: Duration::from_millis(100),
    };

    fn name(&self) -> &'static str {
        archive::NAME
    }

    fn command(&self) -> Result<Command> {
        archive::receiver(&self.layout, &self.program, &self.url, &self.backup)
    }

    async fn is_ready(&self) -> bool {
        archive::streams(&self.url).await
    }
}
