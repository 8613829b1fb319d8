//! Strict stand-ins for Tempo and Loki: servers that decode with generated types and refuse what the real ones refuse.

pub mod loki;
pub mod tempo;
