//! The set-up of a service's database.

use flotilla_config::ExposeSecret;
use flotilla_postgres::{PostgresSettings, RolePasswords, bootstrap, bootstrap_for, bootstrap_with_passwords};

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
async fn what_the_settings_name_is_made() {
    let superuser = url().await.to_owned();
    let config: tokio_postgres::Config = superuser.parse().unwrap();
    let port = config.get_ports()[0];
    let address = |role: &str, password: &str, database: &str| {
        format!("postgres://{role}{password}@127.0.0.1:{port}/{database}").into()
    };
    let settings = |owner: &str, last: &str, database: &str| {
        let (system, user) = (address("named_system", ":s2", "named"), address("named_user", last, database));
        PostgresSettings::new(address(owner, ":s1", "named"), system, user)
    };
    let made = settings("named_owner", ":s3", "named");
    for _ in 0..2 {
        bootstrap_for(&superuser.clone().into(), "named", &made).await.unwrap();
    }
    let user = made.user_url.get();
    drop(tokio_postgres::connect(user.expose_secret(), tokio_postgres::NoTls).await.unwrap());
    let wrong = [("other_owner", ":s3", "named"), ("named_owner", "", "named"), ("named_owner", ":s3", "other")];
    for ((owner, last, database), told) in wrong.into_iter().zip(["named_owner", "password", "one database"]) {
        let error = bootstrap_for(&superuser.clone().into(), "named", &settings(owner, last, database)).await;
        assert!(error.as_ref().is_err_and(|error| error.to_string().contains(told)), "{error:?}");
    }
    let serving = PostgresSettings { owner_url: None.into(), ..made };
    let error = bootstrap_for(&superuser.into(), "named", &serving).await.unwrap_err();
    assert!(error.to_string().contains("postgres.owner_url isn't set"), "{error}");
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
        assert_eq!(rows[0].get::<&str>(0).unwrap(), "tested");
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
