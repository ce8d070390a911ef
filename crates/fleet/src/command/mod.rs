//! What `fleet` can do, one file a command: its options, and what it prints.

pub mod check;
pub mod timeline;
