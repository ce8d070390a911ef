//! On real PostgreSQL and NATS.
