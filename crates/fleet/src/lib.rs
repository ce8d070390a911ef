//! The `fleet` command: runs the fleet natively or in containers, shows it, drives it and checks it.
//!
//! Stands above the services and is the only crate that may know them. Owns the folder `.flotilla/` of a checkout:
//! the supervisor's lock and state, logs, secrets and the file `env` that a shell can source. It ends only processes
//! that its own supervisor started.

#[macro_use(print, println)]
extern crate flotilla_terminal;

pub mod backup;
pub mod broker;
pub mod certs;
pub mod chaos;
pub mod cli;
pub mod client;
pub mod cluster_secrets;
pub mod command;
pub mod consent;
pub mod control;
pub mod demo;
pub mod fault;
pub mod flag;
pub mod home;
pub mod load;
pub mod logging;
pub mod logs;
pub mod observability;
pub mod outcome;
pub mod probe;
pub mod replay;
pub mod runtime;
pub mod secrets;
pub mod services;
pub mod settings_command;
pub mod shared_settings;
pub mod state;
pub mod status;
pub mod supervisor;
pub mod token;
pub mod variables;

pub use services::{DATABASES, SERVICES};

/// The servers behind the services.
pub const SERVERS: [&str; 3] = ["postgres", "nats", "redis"];
