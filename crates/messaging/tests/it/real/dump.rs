//! A database that moves to another cluster by `pg_dump` and `pg_restore`: transaction ids begin anew there.

use std::path::Path;
use std::process::Stdio;

use flotilla_postgres::{PostgresSettings, RolePasswords, ServiceUrls, bootstrap_with_passwords};
use flotilla_servers::{Binaries, Layout, Postgres, PostgresOptions, provision};
use flotilla_testkit::{eventually, stack};
use tokio::io::AsyncWriteExt;

use super::{Node, ORDERS, TIMEOUT, database, ids_of, settings, streamed};
use crate::fixtures::{KIND, events};

/// A cluster that no other test uses; gone with the test.
struct Elsewhere {
    layout: Layout,
    binaries: Binaries,
    name: String,
    postgres: Option<Postgres>,
}

impl Elsewhere {
    async fn start() -> Self {
        let layout = Layout::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.flotilla")).unwrap();
        let binaries = provision(&layout, &|line| println!("{line}")).await.unwrap();
        let name = format!("dump-test-{}", std::process::id());
        // With a password it is made by initdb, not copied: so it has a number of its own.
        let options = PostgresOptions { password: Some("elsewhere".to_owned()), ..PostgresOptions::default() };
        let postgres = Some(Postgres::start(&binaries, &layout, &name, options).await.unwrap());
        Self { layout, binaries, name, postgres }
    }

    fn url(&self, database: &str) -> String {
        self.postgres.as_ref().unwrap().url(database)
    }

    /// Dumps a database of one cluster into another's.
    async fn transfer(&self, from: &str, to: &str) {
        let mut dump = self.layout.command(&self.binaries.postgres.join("pg_dump"));
        let dumped = dump.args(["--format=custom", "--dbname", from]).output().await.unwrap();
        assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
        let mut restore = self.layout.command(&self.binaries.postgres.join("pg_restore"));
        restore.args(["--exit-on-error", "--single-transaction", "--dbname", to]);
        let mut restore = restore.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut input = restore.stdin.take().unwrap();
        let (written, restored) = tokio::join!(
            async move {
                input.write_all(&dumped.stdout).await?;
                input.shutdown().await
            },
            restore.wait_with_output()
        );
        let restored = restored.unwrap();
        assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
        written.unwrap();
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        self.postgres = None;
        self.layout.sweep(&self.name).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dumped_database_goes_on_in_another_cluster_with_what_it_had_not_published() {
    let db = database("orders").await;
    let nats = stack().await.nats_url();
    let node = Node::start(&db, ORDERS, &settings(&nats), vec![]).await;
    let published = events(&node.ids, KIND, 10);
    node.commit(&published).await;
    eventually("published", TIMEOUT, || async { streamed(&nats, "ORDERS").await.len() == 10 }).await;
    node.stop().await;
    // The broker is away: these are in the outbox alone.
    let node = Node::start(&db, ORDERS, &settings("nats://127.0.0.1:9"), vec![]).await;
    let waiting = events(&node.ids, KIND, 10);
    node.commit(&waiting).await;
    node.stop().await;

    let elsewhere = Elsewhere::start().await;
    let [owner, system, user] = ["one", "two", "three"].map(Into::into);
    let passwords = RolePasswords { owner, system, user };
    let made = bootstrap_with_passwords(&elsewhere.url("postgres"), "orders", "orders", &passwords).await;
    let ServiceUrls { owner, system, user } = made.unwrap();
    let (server, _) = stack().await.postgres_url().rsplit_once('/').unwrap();
    elsewhere.transfer(&format!("{server}/{}", db.name), &elsewhere.url("orders")).await;

    // Another broker too, which knows nothing.
    let nats = stack().await.nats_url();
    let node = Node::on("orders", &PostgresSettings::new(owner, system, user), ORDERS, &settings(&nats), vec![]).await;
    let new = events(&node.ids, KIND, 5);
    node.commit(&new).await;
    eventually("published", TIMEOUT, || async { streamed(&nats, "ORDERS").await.len() == 25 }).await;
    assert_eq!(ids_of(&streamed(&nats, "ORDERS").await), ids_of(&[published, waiting, new].concat()));
    let generations =
        "SELECT (SELECT count(*) FROM outbox_generation), (SELECT count(DISTINCT generation) FROM outbox)";
    let rows = node.pool.query(generations, &[]).await.unwrap();
    let counts: (i64, i64) = (rows[0].get(0).unwrap(), rows[0].get(1).unwrap());
    assert_eq!(counts, (2, 2), "the outbox tells the two clusters apart");
    node.stop().await;
}
