//! Backup of a fleet's databases, and restore to a point in time.
//!
//! A backup's folder holds base backups of the whole cluster and the archive of its WAL, which the fleet's supervisor
//! streams there from the first backup on. All databases are in one cluster, so that one point in its WAL is a
//! consistent state of all services. Streams aren't backed up: after a restore the relays refill them.

pub mod archive;
pub mod base;
mod folder;
mod paths;
pub mod restore;
mod session;
mod streams;
mod wal;

pub use self::{
    folder::{Base, BaseNote, Folder, RestorePoint},
    paths::FleetPaths,
    session::{Identity, Session, format_time},
    streams::Broker,
};
