//! In-memory stores and brokers for the seams of messaging.
