//! Claims on servers: only one home may keep data there, and another home is refused before it changes anything.
//! `docs/homes.md` describes how to release a claim. The servers that a fleet starts itself carry its claim too, in
//! case another home is given their addresses.
//!
//! A claim is the home's id, stored next to the data: in PostgreSQL as the setting `flotilla.home` of each of the
//! services' databases, in NATS in the bucket `flotilla_home`, in Redis under the key `flotilla:home`.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use async_nats::{
    ConnectOptions, ServerAddr,
    jetstream::{self, kv},
};
use flotilla_servers::External;
use fred::prelude::{Client as Redis, ClientLike as _, Config as RedisConfig, KeysInterface as _, SetOptions};
use tokio_postgres::{Client, NoTls};

use crate::{
    DATABASES,
    credentials::secrets::Secrets,
    home::{Home, state::with_database},
};

/// The deadline of each step at a server.
const PATIENCE: Duration = Duration::from_secs(10);
/// The bucket in NATS.
const BUCKET: &str = "flotilla_home";
/// The key in that bucket.
const KEY: &str = "id";
/// The key in Redis.
const REDIS_KEY: &str = "flotilla:home";

/// Checks that the user's servers hold no other home's data, and claims the unclaimed ones.
///
/// # Errors
/// If a server holds another home's data, or doesn't answer; the error says what to do.
pub async fn check(home: &Home, external: &External, secrets: &Secrets) -> Result<()> {
    if let Some(url) = &external.postgres {
        within("PostgreSQL", check_postgres(home, url, secrets)).await?;
    }
    if let Some(url) = &external.nats {
        within("NATS", claim_nats(home, url)).await?;
    }
    if let Some(url) = &external.redis {
        within("Redis", claim_redis(home, url)).await?;
    }
    Ok(())
}

async fn within(server: &str, work: impl Future<Output = Result<()>>) -> Result<()> {
    let done = tokio::time::timeout(PATIENCE, work).await;
    done.with_context(|| format!("{server} (your own) doesn't respond within {} s", PATIENCE.as_secs()))?
}

/// Refuses databases of another home. Unclaimed databases, from an earlier version, belong to this home if it has their
/// passwords.
async fn check_postgres(home: &Home, url: &str, secrets: &Secrets) -> Result<()> {
    let client = connect(&with_database(url, "postgres")).await?;
    for (database, claim) in claims(&client).await? {
        let owned = match claim {
            Some(claim) => claim == home.id(),
            None => opens(url, &database, secrets).await,
        };
        if !owned {
            bail!(
                "your own PostgreSQL has a database {database} that doesn't belong to {root}: use another server, or drop it; to \
                 take it over: ALTER DATABASE {database} SET flotilla.home = '{id}'",
                root = home.root().display(),
                id = home.id()
            );
        }
    }
    Ok(())
}

/// Claims the services' databases once they exist.
///
/// # Errors
/// If PostgreSQL refuses.
pub async fn claim_databases(home: &Home, url: &str) -> Result<()> {
    let client = connect(&with_database(url, "postgres")).await?;
    for (database, claim) in claims(&client).await? {
        if claim.is_none() {
            // An id consists of hexadecimal digits, so it needs no quoting.
            client.batch_execute(&format!("ALTER DATABASE {database} SET flotilla.home = '{}'", home.id())).await?;
        }
    }
    Ok(())
}

/// The services' databases that exist, with their claims.
async fn claims(client: &Client) -> Result<Vec<(String, Option<String>)>> {
    let sql = "SELECT datname::text, (SELECT substr(setting, length('flotilla.home=') + 1) FROM pg_db_role_setting,
                   unnest(setconfig) setting
               WHERE setdatabase = pg_database.oid AND setrole = 0 AND setting LIKE 'flotilla.home=%')
               FROM pg_database WHERE datname = ANY ($1) ORDER BY datname";
    let rows = client.query(sql, &[&DATABASES.as_slice()]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Whether the home's password for the database's owner is right.
async fn opens(url: &str, database: &str, secrets: &Secrets) -> bool {
    let role = format!("{database}_owner");
    let Ok(mut config) = with_database(url, database).parse::<tokio_postgres::Config>() else { return false };
    config.user(&role).password(secrets.role_passwords.get(&role).map_or("", String::as_str));
    match config.connect(NoTls).await {
        Ok((client, connection)) => {
            drop(client);
            connection.await.is_ok()
        }
        Err(_) => false,
    }
}

async fn connect(url: &str) -> Result<Client> {
    let (client, connection) =
        tokio_postgres::connect(url, NoTls).await.context("can't connect to your own PostgreSQL")?;
    // The task ends with the client.
    tokio::spawn(connection);
    Ok(client)
}

/// Claims the servers that the home started itself; their data belong to it, whatever the claim was before.
///
/// # Errors
/// If NATS refuses. A cache that doesn't answer is no error.
pub async fn mark(home: &Home, nats: Option<&str>, redis: Option<&str>) -> Result<()> {
    if let Some(url) = nats {
        within("NATS", async {
            nats_store(url).await?.put(KEY, home.id().to_owned().into()).await.map(drop).context("NATS")
        })
        .await?;
    }
    if let Some(url) = redis {
        within("Redis", async {
            let redis = Redis::new(RedisConfig::from_url(url).context("the address of Redis")?, None, None, None);
            let Ok(connection) = redis.init().await else { return Ok(()) };
            let set: Result<(), _> = redis.set(REDIS_KEY, home.id(), None, None, false).await;
            drop(redis.quit().await);
            connection.abort();
            if let Err(error) = set {
                tracing::warn!(%error, "Redis refuses the claim of its home");
            }
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// The bucket with the claim, created if it isn't there.
async fn nats_store(url: &str) -> Result<kv::Store> {
    let address: ServerAddr = url.parse().context("FLOTILLA_USE_NATS_URL")?;
    // The client doesn't take user and password from the address by itself.
    let options = match (address.username(), address.password()) {
        (Some(user), Some(password)) => ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned()),
        _ => ConnectOptions::new(),
    };
    let context = jetstream::new(options.connect(address).await.context("your own NATS doesn't answer")?);
    let bucket = kv::Config {
        bucket: BUCKET.to_owned(),
        description: "the home that owns these streams".to_owned(),
        history: 1,
        ..kv::Config::default()
    };
    context.create_key_value(bucket).await.context("can't create a bucket in your own NATS")
}

async fn claim_nats(home: &Home, url: &str) -> Result<()> {
    let store = nats_store(url).await?;
    // The first home to create the key owns the server.
    drop(store.create(KEY, home.id().to_owned().into()).await);
    let claim = store.get(KEY).await?.unwrap_or_default();
    if claim != home.id().as_bytes() {
        bail!(
            "your own NATS holds the streams of another home ({}), not of {}: use another server or another account, or \
             delete the bucket {BUCKET} and the streams",
            String::from_utf8_lossy(&claim),
            home.root().display()
        );
    }
    Ok(())
}

/// A cache that doesn't answer is no error: services work without it, and no other home can fill it either.
async fn claim_redis(home: &Home, url: &str) -> Result<()> {
    let redis = Redis::new(RedisConfig::from_url(url).context("FLOTILLA_USE_REDIS_URL")?, None, None, None);
    let Ok(connection) = redis.init().await else {
        tracing::warn!("your own Redis doesn't answer");
        return Ok(());
    };
    let set: Result<Option<String>, _> = redis.set(REDIS_KEY, home.id(), None, Some(SetOptions::NX), false).await;
    let claim: Option<String> = redis.get(REDIS_KEY).await?;
    drop(redis.quit().await);
    connection.abort();
    drop(set);
    if claim.as_deref().is_some_and(|claim| claim != home.id()) {
        bail!(
            "your own Redis is the cache of another home ({}), not of {}: use another server or another database of it, or \
             delete the key {REDIS_KEY}",
            claim.unwrap_or_default(),
            home.root().display()
        );
    }
    Ok(())
}

#[cfg(test)]
#[path = "claim_tests.rs"]
mod tests;
