//! Credentials made at random at first start: there are no default ones.

use std::{collections::BTreeMap, fs, io};

use anyhow::{Context as _, Result};
use rand::{Rng as _, distr::Alphanumeric};
use serde::{Deserialize, Serialize};

use crate::{DATABASES, home::Home};

/// The first operator's e-mail address.
pub const OPERATOR: &str = "operator@flotilla.local";
/// Letters and digits of a password: 24 of 62 are 142 bits.
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
    /// The roles of the services' databases, by role.
    pub role_passwords: BTreeMap<String, String>,
}

impl Secrets {
    /// Reads the credentials, making them where there are none yet.
    ///
    /// # Errors
    /// When they can't be read or written.
    pub fn load(home: &Home) -> Result<Self> {
        match fs::read(home.secrets()) {
            Ok(bytes) => serde_json::from_slice(&bytes).context("secrets.json is damaged: run `make reset`"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let secrets = Self {
                    admin_email: OPERATOR.to_owned(),
                    admin_password: password(),
                    postgres_password: password(),
                    role_passwords: DATABASES
                        .iter()
                        .flat_map(|service| roles(service))
                        .map(|role| (role, password()))
                        .collect(),
                };
                home.write_private(&home.secrets(), &serde_json::to_vec_pretty(&secrets)?)?;
                Ok(secrets)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// A fresh one, at random.
#[must_use]
pub fn password() -> String {
    rand::rng().sample_iter(Alphanumeric).take(PASSWORD_LENGTH).map(char::from).collect()
}

/// The roles of a service's database: owner, system, user.
#[must_use]
pub fn roles(service: &str) -> [String; 3] {
    ["owner", "system", "user"].map(|role| format!("{service}_{role}"))
}
