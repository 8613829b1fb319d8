//! Strict stand-ins for Tempo and Loki: servers that decode with generated types and refuse what the real ones refuse.
//! And a scrape target that says what it is told.

pub mod loki;
#[cfg(feature = "peers")]
pub mod stage;
pub mod tempo;
