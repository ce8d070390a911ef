//! The rules of notices: pure, without I/O and without a clock.

pub mod batch;
pub mod notice;
pub mod resume;
pub mod window;
