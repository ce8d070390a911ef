//! Random credentials, generated at the first start: there are no default ones.

use std::{collections::BTreeMap, fs, io};

use anyhow::{Context as _, Result};
use rand::{Rng as _, distr::Alphanumeric};
use serde::{Deserialize, Serialize};

use crate::{DATABASES, credentials::nats_users, home::Home};

/// The first operator's e-mail address.
pub const OPERATOR: &str = "operator@flotilla.local";
/// Number of characters of a password: 24 of 62 letters and digits are 142 bits.
const PASSWORD_LENGTH: usize = 24;

/// Credentials of one fleet.
#[derive(Clone, Serialize, Deserialize)]
pub struct Secrets {
    /// E-mail address to sign in with.
    pub admin_email: String,
    /// Password to sign in with.
    pub admin_password: String,
    /// PostgreSQL's superuser.
    pub postgres_password: String,
    /// The passwords of the services' database roles, by role.
    pub role_passwords: BTreeMap<String, String>,
    /// Passwords of the users of NATS, by name.
    #[serde(default)]
    pub nats_passwords: BTreeMap<String, String>,
    /// The password of Redis.
    #[serde(default)]
    pub redis_password: String,
}

impl Secrets {
    /// Reads the credentials, or generates them if there are none yet.
    ///
    /// # Errors
    /// When they can't be read or written.
    pub fn load(home: &Home) -> Result<Self> {
        match fs::read(home.secrets()) {
            Ok(bytes) => serde_json::from_slice(&bytes).context("secrets.json is damaged: run `make reset`"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut secrets = Self {
                    admin_email: OPERATOR.to_owned(),
                    admin_password: password(),
                    postgres_password: password(),
                    role_passwords: DATABASES
                        .iter()
                        .flat_map(|service| roles(service))
                        .map(|role| (role, password()))
                        .collect(),
                    nats_passwords: BTreeMap::new(),
                    redis_password: String::new(),
                };
                secrets.fill();
                home.write_private(&home.secrets(), &serde_json::to_vec_pretty(&secrets)?)?;
                Ok(secrets)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Like [`load`](Self::load), but also generates the secrets that an earlier version's fleet lacks. Only for
    /// callers that start the servers afterwards: running servers keep the passwords that they were started with.
    ///
    /// # Errors
    /// If they can't be read or written.
    pub fn complete(home: &Home) -> Result<Self> {
        let mut secrets = Self::load(home)?;
        if secrets.fill() {
            home.write_private(&home.secrets(), &serde_json::to_vec_pretty(&secrets)?)?;
        }
        Ok(secrets)
    }

    /// Generates missing secrets; returns whether any was missing.
    fn fill(&mut self) -> bool {
        let mut missing = false;
        for (name, fresh) in nats_passwords() {
            self.nats_passwords.entry(name).or_insert_with(|| {
                missing = true;
                fresh
            });
        }
        if self.redis_password.is_empty() {
            missing = true;
            self.redis_password = password();
        }
        missing
    }
}

/// A random password for each user of NATS.
#[must_use]
pub fn nats_passwords() -> BTreeMap<String, String> {
    nats_users::names().map(|name| (name.to_owned(), password())).collect()
}

/// A new random password.
#[must_use]
pub fn password() -> String {
    rand::rng().sample_iter(Alphanumeric).take(PASSWORD_LENGTH).map(char::from).collect()
}

/// The roles of a service's database: owner, system, user.
#[must_use]
pub fn roles(service: &str) -> [String; 3] {
    ["owner", "system", "user"].map(|role| format!("{service}_{role}"))
}

#[cfg(test)]
impl Secrets {
    /// Short passwords that tests know.
    pub(crate) fn for_tests() -> Self {
        Self {
            admin_email: OPERATOR.to_owned(),
            admin_password: "a".to_owned(),
            postgres_password: "p".to_owned(),
            role_passwords: BTreeMap::from([("orders_user".to_owned(), "u".to_owned())]),
            nats_passwords: nats_users::names().map(|name| (name.to_owned(), format!("n-{name}"))).collect(),
            redis_password: "r".to_owned(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic fails the test")]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_of_an_earlier_version_gets_what_it_lacks_and_keeps_what_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path(), None).unwrap();
        let earlier = r#"{"admin_email":"a@b","admin_password":"a","postgres_password":"p","role_passwords":{"orders_user":"u"}}"#;
        fs::write(home.secrets(), earlier).unwrap();
        assert!(Secrets::load(&home).unwrap().redis_password.is_empty(), "reading changes nothing");
        let completed = Secrets::complete(&home).unwrap();
        assert_eq!(
            (completed.postgres_password.as_str(), completed.role_passwords["orders_user"].as_str()),
            ("p", "u")
        );
        assert!(completed.redis_password.len() == PASSWORD_LENGTH);
        assert!(nats_users::names().all(|name| completed.nats_passwords[name].len() == PASSWORD_LENGTH));
        let again = Secrets::complete(&home).unwrap();
        assert_eq!((again.nats_passwords, again.redis_password), (completed.nats_passwords, completed.redis_password));
    }

    #[test]
    fn each_user_has_a_password_of_its_own() {
        let different: std::collections::BTreeSet<_> = nats_passwords().into_values().collect();
        assert_eq!(different.len(), nats_users::names().count());
    }
}
