//! The chassis at work: admin endpoints, readiness, supervision and drain of a toy service.

#![allow(clippy::unwrap_used)]

mod admin;
mod drain;
mod signals;
mod supervision;
mod toy;
