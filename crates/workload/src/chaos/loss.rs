//! Removes messages from a stream by age, purge, deletion, or damage to older files.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use async_nats::jetstream::{self, stream};
use flotilla_messaging::broker::nats::connect;
use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};
use tokio::time::{Instant, sleep};

use super::kills::find;
use crate::fleet::{Fleet, Supervisor};

/// The deadline of one step at the broker.
const PATIENCE: Duration = Duration::from_secs(20);
/// The poll interval.
const PAUSE: Duration = Duration::from_millis(50);
/// Maximum number of messages that one loss deletes individually.
const MOST_DELETED: u64 = 20;
/// Bytes overwritten in a damaged file.
const DAMAGE: usize = 64;

/// How a stream loses messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// All messages older than a second age out.
    Age,
    /// All messages are purged; the stream's last sequence stays.
    Purge,
    /// Some messages are deleted individually.
    Delete,
    /// A message file is damaged while the broker is down. If there are several files, the last one is spared; the
    /// oldest of the others is damaged.
    Damage,
}

impl Loss {
    /// All kinds of loss.
    pub const ALL: [Self; 4] = [Self::Age, Self::Purge, Self::Delete, Self::Damage];

    /// The name in the output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Purge => "purge",
            Self::Delete => "delete",
            Self::Damage => "damage",
        }
    }

    /// Inflicts the loss on a stream chosen by `random`, and returns a description.
    ///
    /// # Errors
    /// If the broker is down or has no such stream at the moment.
    pub async fn inflict(self, fleet: &Fleet, supervisor: &impl Supervisor, random: &mut StdRng) -> Result<String> {
        let services: Vec<_> = fleet.stores.services().collect();
        let stream = services.choose(random).context("the fleet has no service with a stream")?.to_uppercase();
        // Drawn before anything can fail, so that a seed always gives the same sequence.
        let (place, count) = (random.random_range(0.0..1.0), random.random_range(1..=MOST_DELETED));
        let work = async {
            match self {
                Self::Damage => damage(supervisor, &stream, place).await,
                Self::Age => age(&open(fleet).await?, &stream).await,
                Self::Purge => purge(&open(fleet).await?, &stream).await,
                Self::Delete => delete(&open(fleet).await?, &stream, place, count).await,
            }
        };
        tokio::time::timeout(PATIENCE, work).await.context("the broker doesn't respond in time")??;
        Ok(format!("{} of {stream}", self.name()))
    }
}

async fn open(fleet: &Fleet) -> Result<jetstream::Context> {
    Ok(jetstream::new(connect(&fleet.stores.nats_url).await.context("NATS doesn't respond")?))
}

async fn age(context: &jetstream::Context, name: &str) -> Result<()> {
    let stream = context.get_stream(name).await?;
    let usual = stream.cached_info().config.clone();
    let second = Duration::from_secs(1);
    let short = stream::Config { max_age: second, duplicate_window: second, ..usual.clone() };
    context.update_stream(&short).await?;
    let aged = async {
        while context.get_stream(name).await?.cached_info().state.messages > 0 {
            sleep(PAUSE).await;
        }
        Ok::<_, anyhow::Error>(())
    };
    // Under load new messages keep coming: don't wait longer than a few seconds.
    let aged = tokio::time::timeout(second * 3, aged).await;
    context.update_stream(&usual).await?;
    aged.unwrap_or(Ok(()))
}

async fn purge(context: &jetstream::Context, name: &str) -> Result<()> {
    context.get_stream(name).await?.purge().await?;
    Ok(())
}

async fn delete(context: &jetstream::Context, name: &str, place: f64, count: u64) -> Result<()> {
    let stream = context.get_stream(name).await?;
    let state = &stream.cached_info().state;
    let held = state.last_sequence.saturating_sub(state.first_sequence);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of what is held")]
    let first = state.first_sequence + (held as f64 * place) as u64;
    for sequence in (first..=state.last_sequence).take(usize::try_from(count)?) {
        // It may already be gone.
        drop(stream.delete_message(sequence).await);
    }
    Ok(())
}

/// Kills the broker, overwrites a part of a message file, and lets the supervisor restart the broker.
async fn damage(supervisor: &impl Supervisor, name: &str, place: f64) -> Result<()> {
    let pid = || anyhow::Ok(find(&supervisor.members()?, "nats")?.pid);
    let running = pid()?.context("nats isn't running")?;
    supervisor.hold("nats")?;
    let outcome = async {
        // The supervisor may be stopping it already, which has the same effect.
        drop(flotilla_process::signal(running, flotilla_process::Signal::KILL));
        let deadline = Instant::now() + PATIENCE / 2;
        while pid()?.is_some() {
            ensure!(Instant::now() < deadline, "nats didn't exit in time");
            sleep(PAUSE).await;
        }
        overwrite(&supervisor.data("nats")?, name, place)
    }
    .await;
    supervisor.release("nats")?;
    outcome
}

fn overwrite(data: &Path, stream: &str, place: f64) -> Result<()> {
    let mut files = Vec::new();
    find_blocks(data, stream, &mut files)?;
    files.sort_by_key(|path| path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok()));
    let Some(file) = files.first() else { return Ok(()) };
    let mut bytes = fs::read(file)?;
    if bytes.len() > DAMAGE {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of the file")]
        let start = ((bytes.len() - DAMAGE) as f64 * place) as usize;
        bytes[start..start + DAMAGE].fill(0xff);
        fs::write(file, bytes)?;
    }
    // Without its index the broker rescans the files, as after a crash.
    match fs::remove_file(file.with_file_name("index.db")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// The files of a stream's messages: `.../streams/<stream>/msgs/<number>.blk`.
fn find_blocks(folder: &Path, stream: &str, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find_blocks(&path, stream, found)?;
        } else if path.extension().is_some_and(|extension| extension == "blk")
            && path.iter().any(|part| part == stream)
            && path.iter().any(|part| part == "msgs")
        {
            found.push(path);
        }
    }
    Ok(())
}
