//! The schema that the migrations make, and what a real process does on another one: this test binary runs itself as the
//! service.

use std::process::{ExitCode, Stdio};

use flotilla_config::ExposeSecret as _;
use flotilla_identity::Identity;
use flotilla_service::Service as _;
use flotilla_testkit::{Database, TIMEOUT, assert_schema, stack};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// Set in the process that is the service.
const CHILD: &str = "FLOTILLA_TEST_CHILD";
const LATER: &str = "INSERT INTO schema_history (version, name, applied_on, checksum) VALUES (900, 'later', '2026-01-01T00:00:00Z', '1')";

#[tokio::test]
async fn the_migrated_schema_is_the_committed_one() {
    let database = stack().await.database(Identity::NAME, Identity::migrations()).await;
    assert_schema(&database, env!("CARGO_MANIFEST_DIR")).await;
}

/// Not a test but the service; does nothing unless the tests below start it.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn child() {
    if std::env::var(CHILD).is_ok() {
        let code = flotilla_service::run::<Identity>(std::iter::once("serve".to_owned())).await;
        // An exit code can't be compared in another way.
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
    }
}

struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(database: &Database, nats: &str) -> Self {
        let urls = database.urls();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "schema::child", "--nocapture"])
            .env(CHILD, "1")
            .env("FLOTILLA__POSTGRES__SYSTEM_URL", urls.system.expose_secret())
            .env("FLOTILLA__POSTGRES__USER_URL", urls.user.expose_secret())
            .env("FLOTILLA__NATS__URL", nats)
            .env("FLOTILLA__GRPC__LISTEN", "127.0.0.1:0")
            .env("FLOTILLA__SERVICE__ADMIN_LISTEN", "127.0.0.1:0")
            .env("FLOTILLA__TELEMETRY__FORMAT", "json")
            .env("RUST_LOG", "info")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Reads the log until it says this; panics if the process ends before.
    async fn says(&mut self, text: &str) {
        let mut read = Vec::new();
        let find = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                if line.contains(text) {
                    return;
                }
                read.push(line);
            }
            panic!("the log doesn't say {text:?}:\n{}", read.join("\n"));
        };
        tokio::time::timeout(TIMEOUT, find).await.expect("the log says it in time");
    }

    /// Waits for the end, which must be a failure.
    async fn fails(mut self) {
        let status = tokio::time::timeout(TIMEOUT, async {
            while self.lines.next_line().await.unwrap().is_some() {}
            self.child.wait().await.unwrap()
        });
        assert!(!status.await.expect("the process ends in time").success());
    }
}

#[tokio::test]
async fn a_service_refuses_to_start_on_a_schema_that_does_not_suit_it() {
    let database = stack().await.database(Identity::NAME, Identity::migrations()).await;
    let nats = stack().await.nats_url();
    database.query(LATER, &[]).await;
    let mut newer = Process::start(&database, &nats);
    newer.says("schema_history/V900 isn't declared compatible").await;
    newer.fails().await;

    database.query("INSERT INTO schema_compatibility VALUES ('schema_history', 900, 1)", &[]).await;
    Process::start(&database, &nats).says("\"ready\"").await;

    database.query("DELETE FROM schema_history WHERE version = 1", &[]).await;
    let mut older = Process::start(&database, &nats);
    older.says("schema_history/V1__users is missing").await;
    older.fails().await;
}

#[tokio::test]
async fn a_schema_that_could_not_be_read_at_the_start_ends_the_service_as_soon_as_it_turns_out_not_to_suit() {
    let database = stack().await.database(Identity::NAME, Identity::migrations()).await;
    let nats = stack().await.nats_url();
    database.query("REVOKE SELECT ON schema_history FROM identity_system", &[]).await;
    database.query(LATER, &[]).await;
    let mut process = Process::start(&database, &nats);
    process.says("the database's schema is unchecked").await;
    database.query("GRANT SELECT ON schema_history TO identity_system", &[]).await;
    process.says("schema_history/V900 isn't declared compatible").await;
    process.fails().await;
}
