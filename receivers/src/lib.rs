//! The receivers: each brings telemetry in by one protocol.

pub mod prometheus;
