//! Databases and roles of the services.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use flotilla_postgres::{RolePasswords, ServiceUrls, bootstrap_with_passwords};

use crate::{
    DATABASES,
    credentials::secrets::{Secrets, roles},
    home::state::with_database,
};

/// Creates the missing databases and roles of the services, and returns their URLs.
pub async fn prepare(postgres_url: &str, secrets: &Secrets) -> Result<BTreeMap<&'static str, ServiceUrls>> {
    let superuser = with_database(postgres_url, "postgres");
    let mut databases = BTreeMap::new();
    for name in DATABASES {
        let [owner, system, user] =
            roles(name).map(|role| secrets.role_passwords.get(&role).cloned().unwrap_or_default().into());
        let passwords = RolePasswords { owner, system, user };
        let urls = bootstrap_with_passwords(&superuser, name, name, &passwords)
            .await
            .with_context(|| format!("can't prepare the database {name}"))?;
        databases.insert(name, urls);
    }
    Ok(databases)
}
