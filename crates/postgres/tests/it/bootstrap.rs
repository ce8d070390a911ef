//! The set-up of a service's database.

use flotilla_config::ExposeSecret;
use flotilla_postgres::{RolePasswords, bootstrap, bootstrap_with_passwords};

use crate::support::{Database, superuser_url};

async fn url() -> &'static str {
    tokio::task::spawn_blocking(superuser_url).await.unwrap()
}

#[tokio::test]
async fn set_ups_of_one_service_may_run_at_once() {
    let url = url().await;
    let names: Vec<String> = (0..8).map(|n| format!("crowded_{}", n % 4)).collect();
    let all = names.iter().map(|name| bootstrap(url, "crowded", name));
    let urls = futures::future::try_join_all(all).await.unwrap();
    assert!(
        urls[0].user.expose_secret().contains("crowded_user@") && urls[0].user.expose_secret().ends_with("/crowded_0")
    );
}

#[tokio::test]
async fn a_set_up_may_be_repeated_with_other_passwords() {
    let passwords = |text: &str| {
        let of = |role: &str| format!("{role} {text}").into();
        RolePasswords { owner: of("o"), system: of("s"), user: of("u") }
    };
    for text in ["first's", r"sec\ond"] {
        let urls = bootstrap_with_passwords(url().await, "guarded", "guarded", &passwords(text)).await.unwrap();
        let config: tokio_postgres::Config = urls.system.expose_secret().parse().unwrap();
        assert_eq!(config.get_password(), Some(format!("s {text}").as_bytes()));
        drop(tokio_postgres::connect(urls.system.expose_secret(), tokio_postgres::NoTls).await.unwrap());
    }
}

#[tokio::test]
async fn only_the_owner_may_create_tables() {
    let database = Database::fresh().await;
    database.run("CREATE TABLE mine (x int)").await;
    for pool in [database.system(), database.user()] {
        for sql in ["CREATE TABLE theirs (x int)", "SELECT FROM mine", "CREATE TEMP TABLE theirs (x int)"] {
            let error = pool.query(sql, &[]).await.unwrap_err();
            assert_eq!(error.sql_state(), Some("42501"), "{sql}");
        }
        let rows = pool.query("SELECT current_setting('flotilla.service')", &[]).await.unwrap();
        assert_eq!(rows[0].get::<_, &str>(0), "tested");
    }
}

#[tokio::test]
async fn a_services_roles_cant_enter_anothers_database() {
    let own = Database::fresh().await;
    let other = bootstrap(url().await, "neighbour", "neighbour").await.unwrap();
    let wrong = own.urls.system.expose_secret().replace(&own.name, "neighbour");
    let error = tokio_postgres::connect(&wrong, tokio_postgres::NoTls).await.map(|_| ()).unwrap_err();
    assert_eq!(error.code().map(|code| code.code().to_owned()).as_deref(), Some("42501"));
    drop(tokio_postgres::connect(other.system.expose_secret(), tokio_postgres::NoTls).await.unwrap());
}

#[tokio::test]
async fn a_name_that_isnt_plain_is_refused() {
    assert!(bootstrap("postgres://h/d", "x; DROP", "x").await.is_err());
    assert!(bootstrap("postgres://h/d", "x", "\"x\"").await.is_err());
    assert!(bootstrap("not an address", "x", "x").await.is_err());
}
