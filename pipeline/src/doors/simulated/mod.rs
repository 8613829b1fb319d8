//! Doors without an operating system behind them: sockets and files in memory, for tests of components and of whole
//! configs. Time is tokio's, with [`Clock::starting_at`](super::Clock::starting_at).

mod files;
mod net;

pub use files::VirtualFiles;
pub use net::{Fault, VirtualNet};
