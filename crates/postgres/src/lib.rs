//! How the services talk to PostgreSQL.
//!
//! Owns pools, transactions, the meaning of their errors, retries, group commit, migrations and the set-up of a
//! service's database and roles. Knows no service's tables. Guarantees: a connection goes back to its pool only when
//! the server has answered everything sent on it and no transaction is open; every wait has a deadline, and within a
//! call no later one than the call's; a statement that nobody waits for any more is cancelled; whether an error may be
//! retried is a property of the error.

mod address;
pub mod bootstrap;
mod cancel;
mod error;
mod fair_queue;
mod faults;
mod group_commit;
mod lease;
mod metrics;
mod migrate;
mod pool;
mod retry;
mod roles;
mod row;
mod sessions;
mod settings;
mod trace;
mod tx;

pub use bootstrap::{RolePasswords, ServiceUrls, bootstrap, bootstrap_for, bootstrap_with_passwords};
pub use error::{Error, ErrorKind};
pub use group_commit::{GroupCommit, GroupCommitDriver, GroupCommitSettings, Refused};
pub use migrate::{await_migrations, migrate};
pub use pool::Pool;
pub use refinery;
pub use retry::{FAILOVER, TransactionError, retry, retry_unless_unknown};
pub use row::{Column, Row};
pub use settings::PostgresSettings;
pub use tokio_postgres;
pub use tokio_postgres::types::ToSql;
pub use tx::Tx;
