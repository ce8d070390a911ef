//! Roles that a pool must not use.

use flotilla_config::{ExposeSecret as _, Problems, SecretString, Validate as _};
use flotilla_postgres::PostgresSettings;

use crate::support::{Database, superuser_url};

/// A table with one user's data in each row, as services create them.
async fn parted() -> Database {
    let database = Database::fresh().await;
    database
        .run(
            "CREATE TABLE notes (owner uuid NOT NULL);
             ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
             CREATE POLICY everything ON notes TO tested_system USING (true);
             CREATE POLICY own ON notes TO tested_user
                 USING (owner = nullif(current_setting('flotilla.user_id', true), '')::uuid);
             CREATE TABLE news (text text);
             ALTER TABLE news ENABLE ROW LEVEL SECURITY;
             CREATE POLICY readers ON news FOR SELECT TO tested_user USING (true);
             GRANT SELECT ON notes, news TO tested_system, tested_user",
        )
        .await;
    database
}

/// The address with another role in it.
fn naming(database: &Database, role: &str) -> SecretString {
    database.urls.user.expose_secret().replace("tested_user", role).into()
}

async fn as_superuser(sql: &str) {
    let url = tokio::task::spawn_blocking(superuser_url).await.unwrap();
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute(sql).await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
}

/// The pool's error for a role; `None` if it accepts the role.
async fn refusal(database: &Database, pool: &'static str, role: &str) -> Option<String> {
    let answer = database.pool(pool, &naming(database, role), &database.settings()).ping().await;
    answer.err().map(|error| {
        assert!(error.is_unfit_role(), "{error}");
        error.to_string()
    })
}

#[tokio::test]
async fn customers_calls_never_run_as_a_role_that_row_security_does_not_bind() {
    let database = parted().await;
    as_superuser(
        "CREATE ROLE tested_above LOGIN BYPASSRLS IN ROLE tested_user; CREATE ROLE tested_lent LOGIN IN ROLE tested_system;
         CREATE ROLE tested_guest LOGIN IN ROLE tested_user; CREATE ROLE tested_heir LOGIN IN ROLE tested_above",
    )
    .await;
    for (role, what) in [
        ("postgres", "is a superuser"),
        ("tested_above", "has BYPASSRLS"),
        ("tested_heir", "has BYPASSRLS"),
        ("tested_owner", "owns tables"),
        ("tested_system", "is the system's role"),
        ("tested_lent", "is the system's role"),
    ] {
        let refusal = refusal(&database, "user", role).await.unwrap_or_default();
        let expected = format!("postgres.user_url names the role {role}, which {what}");
        assert!(refusal.starts_with(&expected), "{role}: {refusal:?}");
    }
    // Created by a secret store, with the user's privileges and no more.
    for role in ["tested_user", "tested_guest"] {
        assert_eq!(refusal(&database, "user", role).await, None, "{role}");
    }
}

#[tokio::test]
async fn the_system_is_no_superuser() {
    let database = parted().await;
    let refused = refusal(&database, "system", "postgres").await.unwrap_or_default();
    assert!(refused.starts_with("postgres.system_url names the role postgres, which is a superuser"), "{refused:?}");
    assert_eq!(refusal(&database, "system", "tested_system").await, None);
}

#[test]
fn two_addresses_must_not_name_one_role() {
    let url = |role: &str| SecretString::from(format!("postgres://{role}@localhost/x"));
    let told = |owner: &str, system: &str, user: &str, superuser: Option<&str>| {
        let settings = PostgresSettings::new(url(owner), url(system), url(user));
        let settings = PostgresSettings { superuser_url: superuser.map(url), ..settings };
        let mut problems = Problems::default();
        settings.validate(&mut problems);
        problems.found().iter().map(|problem| format!("{}: {}", problem.setting, problem.message)).collect::<Vec<_>>()
    };
    assert_eq!(told("o", "s", "u", Some("p")), [""; 0]);
    assert_eq!(told("o", "s", "s", None), ["user_url: must not name the same role as system_url"]);
    assert_eq!(told("o", "o", "u", None), ["system_url: must not name the same role as owner_url"]);
    assert_eq!(told("o", "s", "p", Some("p")), ["user_url: must not name the same role as superuser_url"]);
}
