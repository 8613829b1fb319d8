//! The receivers: each brings telemetry in by one protocol.

pub mod file_log;
pub mod prometheus;
