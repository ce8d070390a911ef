//! The commands of `fleet`, one file per command: its options and its output.

pub mod backup;
pub mod certs;
pub mod check;
pub mod confirmation;
pub mod db;
pub mod fault;
pub mod fetch;
pub mod flag;
pub mod logging;
pub mod reset;
pub mod restart;
pub mod restore;
pub mod settings;
pub mod timeline;
pub mod token;
pub mod workload;
