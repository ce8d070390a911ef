//! PostgreSQL, nats-server and Redis (or Valkey) on a bare machine.
//!
//! Owns the origin of the servers' binaries ([`provision`]), their folders and data ([`Layout`]), and private instances
//! on loopback ([`Postgres`], [`Nats`], [`Redis`]). Used by the fleet's supervisor and by the testkit, so that both start
//! servers in the same way.
//!
//! Guarantees:
//! - Nothing is installed outside the layout's folders, except `python3-pip` with apt as root, announced beforehand.
//! - When `start` returns, the instance responds, and it is this instance, not another process on its port.
//! - A taken port is no error: another one is chosen and reported by `port()`.
//! - An instance ends when it is stopped, killed or dropped, and also when the process that started it is killed: a
//!   guard process per server watches a pipe that closes with the parent.
//! - When started by root, the servers run as an unprivileged user, because PostgreSQL refuses to run as root.

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
