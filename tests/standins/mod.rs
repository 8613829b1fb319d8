//! Strict stand-ins for Tempo, Loki and Prometheus: servers that decode with generated types and refuse what the real ones refuse.
//! And a scrape target that says what it is told.

pub mod loki;
pub mod remote_write;
#[cfg_attr(not(feature = "peers"), allow(dead_code, reason = "tests with real peers use all of it"))]
pub mod stage;
pub mod tempo;
