//! Tails files.

pub mod format;
pub mod operators;
