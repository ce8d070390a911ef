//! The credentials of a fleet in containers, one file each, as `compose/compose.yaml` names them.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use anyhow::{Context as _, Result};
use flotilla_servers::authorization;

use crate::{
    DATABASES,
    credentials::{nats_users, secrets::Secrets},
};

/// Addresses of the servers inside the project's network.
const POSTGRES: &str = "postgres:5432";
const NATS: &str = "nats://nats:4222";
const REDIS: &str = "redis:6379";

/// Name and content of every file.
#[must_use]
pub fn of(secrets: &Secrets) -> Vec<(String, String)> {
    let superuser = format!("postgres://postgres:{}@{POSTGRES}/postgres", secrets.postgres_password);
    let mut files = vec![
        ("postgres_password".to_owned(), secrets.postgres_password.clone()),
        ("superuser_url".to_owned(), superuser),
        ("admin_password".to_owned(), secrets.admin_password.clone()),
    ];
    for service in DATABASES {
        for role in crate::credentials::secrets::roles(service) {
            let password = secrets.role_passwords.get(&role).map_or("", String::as_str);
            files.push((format!("{role}_url"), format!("postgres://{role}:{password}@{POSTGRES}/{service}")));
        }
    }
    let users = nats_users::users(&secrets.nats_passwords);
    files.push(("nats_users".to_owned(), authorization(&users)));
    files.extend(
        users
            .iter()
            .filter(|user| user.name != nats_users::COMMANDS)
            .map(|user| (format!("{}_nats_url", user.name), user.at(NATS))),
    );
    files.push(("redis_conf".to_owned(), format!("requirepass {}\n", secrets.redis_password)));
    files.push(("redis_url".to_owned(), format!("redis://:{}@{REDIS}", secrets.redis_password)));
    files
}

/// Writes the files to a folder that only its owner can enter. The files themselves are readable by all: each is
/// mounted by itself into a container whose user id doesn't exist on this machine.
///
/// # Errors
/// When a file can't be written.
pub fn write(folder: &Path, secrets: &Secrets) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    for (name, content) in of(secrets) {
        let path = folder.join(name);
        if fs::read(&path).is_ok_and(|present| present == content.as_bytes()) {
            continue;
        }
        drop(fs::remove_file(&path));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o444).open(&path);
        file.and_then(|mut file| file.write_all(content.as_bytes()))
            .with_context(|| format!("can't write {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic fails the test")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn each_secret_of_the_compose_file_has_its_file_and_the_other_way_round() {
        let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../compose/compose.yaml")).unwrap();
        let declared = text.split_once("\nsecrets:\n").unwrap().1;
        let mut declared: Vec<_> = declared.lines().filter_map(|line| line.trim().split_once(':')).collect();
        declared.sort_unstable();
        let mut made: Vec<_> = of(&Secrets::for_tests()).into_iter().map(|(name, _)| name).collect();
        made.sort_unstable();
        assert_eq!(declared.into_iter().map(|(name, _)| name).collect::<Vec<_>>(), made);
    }

    #[test]
    fn only_the_owner_may_enter_and_a_changed_secret_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("secrets");
        write(&folder, &Secrets::for_tests()).unwrap();
        write(&folder, &Secrets { postgres_password: "new".to_owned(), ..Secrets::for_tests() }).unwrap();
        let url = fs::read_to_string(folder.join("orders_user_url")).unwrap();
        assert_eq!(url, "postgres://orders_user:u@postgres:5432/orders");
        assert_eq!(fs::read_to_string(folder.join("postgres_password")).unwrap(), "new");
        assert_eq!(fs::read_to_string(folder.join("orders_nats_url")).unwrap(), "nats://orders:n-orders@nats:4222");
        assert_eq!(fs::read_to_string(folder.join("redis_url")).unwrap(), "redis://:r@redis:6379");
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
