//! The user's own PostgreSQL and NATS with which the fleet was last started.
//!
//! A restore may run in a shell without the variables that were set at `up`, or with others: it would then empty a
//! private broker, and the one that the fleet uses would keep its streams. So `up` records them, and a difference is
//! refused.

use std::fs;

use anyhow::{Context as _, Result, bail};
use flotilla_servers::External;

use super::Home;

/// Records the user's own servers that the fleet is started with.
///
/// # Errors
/// If the record can't be written.
pub fn remember(home: &Home, external: &External) -> Result<()> {
    let note = [&external.postgres, &external.nats];
    home.write_private(&home.external(), &serde_json::to_vec(&note)?)
}

/// The user's own servers that the fleet last used.
#[must_use]
pub fn names(home: &Home) -> Vec<&'static str> {
    let note =
        fs::read(home.external()).ok().and_then(|note| serde_json::from_slice::<[Option<String>; 2]>(&note).ok());
    let note = note.unwrap_or_default();
    ["PostgreSQL", "NATS"].into_iter().zip(note).filter(|(_, url)| url.is_some()).map(|(name, _)| name).collect()
}

/// The user's own servers that the fleet uses. If the fleet has never been started, the variables decide.
///
/// # Errors
/// If the variables have changed since the fleet was started.
pub fn agreed(home: &Home, present: External) -> Result<External> {
    let note = match fs::read(home.external()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(present),
        note => note?,
    };
    let [postgres, nats]: [Option<String>; 2] = serde_json::from_slice(&note).context("external.json is damaged")?;
    let variables =
        [("FLOTILLA_USE_POSTGRES_URL", postgres, &present.postgres), ("FLOTILLA_USE_NATS_URL", nats, &present.nats)];
    for (name, then, now) in variables {
        // The values may contain a password.
        match (then, now) {
            (None, Some(_)) => bail!("the fleet was started without {name}: unset it"),
            (Some(then), now) if now.as_ref() != Some(&then) => {
                bail!("the fleet was started with another {name}: set the value that it had then");
            }
            _ => {}
        }
    }
    Ok(present)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic fails the test")]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_that_was_brought_up_with_the_users_broker_is_restored_with_it_alone() {
        let room = tempfile::tempdir().unwrap();
        let home = Home::open(room.path(), None).unwrap();
        let with = |nats: Option<&str>| External { nats: nats.map(str::to_owned), ..External::default() };
        let refused = |present| agreed(&home, present).unwrap_err().to_string();
        assert_eq!(agreed(&home, with(Some("nats://a"))).unwrap(), with(Some("nats://a")), "it has never been up");
        remember(&home, &with(Some("nats://a"))).unwrap();
        assert_eq!(agreed(&home, with(Some("nats://a"))).unwrap(), with(Some("nats://a")));
        for other in [None, Some("nats://b")] {
            assert!(refused(with(other)).contains("with another FLOTILLA_USE_NATS_URL"));
        }
        remember(&home, &with(None)).unwrap();
        assert_eq!(agreed(&home, with(None)).unwrap(), with(None));
        assert!(refused(with(Some("nats://a"))).contains("without FLOTILLA_USE_NATS_URL"));
        let postgres = External { postgres: Some("postgres://a".to_owned()), ..External::default() };
        assert!(refused(postgres).contains("without FLOTILLA_USE_POSTGRES_URL"));
    }
}
