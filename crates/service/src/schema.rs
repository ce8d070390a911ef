//! Refuses to serve on a schema that doesn't suit the program: one that is too old, or newer without a declaration that
//! this program tolerates it.
//!
//! A database that doesn't answer is no failure, because services may start before it. Its schema is checked as soon as
//! it does; until then the service isn't ready.

use std::time::Duration;

use flotilla_postgres::{Error, ErrorKind};

use crate::{Running, Service};

/// How long a start waits for the database, and each later check.
const WAIT: Duration = Duration::from_secs(2);
/// Pause between two checks while the database doesn't answer.
const PAUSE: Duration = Duration::from_millis(500);

/// What a first check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Schema {
    /// The program may serve on it.
    Suits,
    /// The database didn't answer.
    Unread,
}

/// Checks the schema once.
///
/// # Errors
/// It doesn't suit the program.
pub(crate) async fn check<S: Service>(settings: &S::Settings) -> anyhow::Result<Schema> {
    let checked = tokio::time::timeout(WAIT, S::check_schema(settings)).await;
    match checked.unwrap_or_else(|_| Err(Error::new(ErrorKind::Timeout, "no answer"))) {
        Ok(()) => Ok(Schema::Suits),
        Err(error) if error.is_unfit_schema() => Err(error.into()),
        Err(error) => {
            tracing::debug!(service = S::NAME, error = %error, "the schema can't be read");
            Ok(Schema::Unread)
        }
    }
}

/// The service; if its schema is still unread, it is stopped with an error as soon as that turns out not to suit.
pub(crate) fn watched<S: Service>(running: Running, schema: Schema, settings: S::Settings) -> Running {
    if schema == Schema::Suits {
        return running;
    }
    tracing::warn!(service = S::NAME, "the database's schema is unchecked: it can't be read yet");
    running.unless_fails(async move {
        while check::<S>(&settings).await? == Schema::Unread {
            tokio::time::sleep(PAUSE).await;
        }
        tracing::info!(service = S::NAME, "the database's schema suits");
        Ok(())
    })
}
