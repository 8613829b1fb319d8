//! From a line to a log record: what the formats know about lines, below any file handling.

pub mod civil;
pub mod container;
pub mod jsonl;
pub mod keys;
pub mod payload;
pub mod record;
pub mod severity;
pub mod shape;
pub mod shapes;
pub mod text;
pub mod trace;
pub mod zone;
