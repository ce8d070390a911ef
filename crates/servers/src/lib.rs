//! PostgreSQL, nats-server and Redis (or Valkey) on a bare machine.
//!
//! Owns where the servers' binaries come from ([`provision`]), where they and their data live ([`Layout`]), and private
//! instances of them on loopback ([`Postgres`], [`Nats`], [`Redis`]). Used by the fleet's supervisor and by the testkit,
//! so that both start servers in one way.
//!
//! Guarantees:
//! - Nothing is installed outside of the layout's folders, save `python3-pip` by apt as root, announced beforehand.
//! - An instance answers when its `start` has returned, and it is that instance that answers, not a stranger on its port.
//! - A taken port is no error: another is chosen and reported by `port()`.
//! - An instance ends when it is stopped, killed or dropped, and also when the process that started it is killed: a
//!   guard beside each server watches a pipe that closes with its parent.
//! - As root the servers run as an unprivileged user, because PostgreSQL refuses root.

mod cluster;
mod external;
mod guard;
mod instance;
mod layout;
mod lock;
mod log;
mod machine;
mod nats;
mod pins;
mod pip;
mod ports;
mod postgres;
mod process;
mod provision;
mod recovery;
mod redis;
mod run_as;
mod tree;
mod version;
mod wheels;

pub use external::External;
pub use instance::{Kind, Server};
pub use layout::{Layout, data_below};
pub use log::{Log, Rotation};
pub use nats::{Nats, NatsOptions, NatsUser, authorization};
pub use ports::free_port;
pub use postgres::{Postgres, PostgresOptions};
pub use process::Process;
pub use provision::{Binaries, postgres_tool, provision};
pub use recovery::{Recovery, Target};
pub use redis::{Redis, RedisOptions};
pub use run_as::RunAs;
