//! Placeholder sign, replaced as the crate is written.
