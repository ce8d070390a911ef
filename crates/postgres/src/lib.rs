//! How the services access PostgreSQL.
//!
//! Owns pools, transactions, error kinds, retries, group commit, migrations and the set-up of a service's database and
//! roles; it knows no service's tables. Guarantees: a connection is returned to its pool only when the server has
//! answered everything sent on it and no transaction is open; every wait has a deadline, within a call at most the
//! call's; a statement whose caller has gone away is cancelled; whether an error may be retried is a property of the
//! error.

mod address;
mod array;
mod backfill;
pub mod bootstrap;
mod cancel;
mod compatibility;
mod concurrent_index;
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

pub use array::array_literal;
pub use bootstrap::{RolePasswords, ServiceUrls, bootstrap, bootstrap_for, bootstrap_with_passwords};
pub use compatibility::check_schema;
pub use error::{Error, ErrorKind};
pub use group_commit::{GroupCommit, GroupCommitDriver, GroupCommitSettings, Refused};
pub use migrate::{MigrationLimits, await_migrations, migrate};
pub use pool::Pool;
pub use refinery;
pub use retry::{FAILOVER, TransactionError, retry, retry_unless_unknown};
pub use row::{Column, Row};
pub use settings::PostgresSettings;
pub use tokio_postgres;
pub use tokio_postgres::types::ToSql;
pub use tx::Tx;
