//! The `fleet` command: runs the fleet natively or in containers, shows it, drives it and checks it.
//!
//! Depends on the services and is the only crate that does. Owns the folder `.flotilla/` of a checkout:
//! the supervisor's lock and state, logs, secrets and the file `env` that a shell can source. It only ends processes
//! that its own supervisor started.

#[macro_use(print, println)]
extern crate flotilla_terminal;

pub mod certs;
pub mod cli;
pub mod command;
pub mod credentials;
pub mod home;
pub mod runtime;
pub mod services;
pub mod supervisor;
pub mod variables;

pub use services::list::{DATABASES, SERVICES};

/// The process of all services in a fleet that runs them in one: its name in the state, and that of its log.
pub const ONE_PROCESS: &str = "flotilla";

/// The servers behind the services.
pub const SERVERS: [&str; 3] = ["postgres", "nats", "redis"];
