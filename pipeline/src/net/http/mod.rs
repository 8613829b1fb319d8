//! HTTP/1.1 and HTTP/2: a client that keeps its connections, and a server on a door's listener.

mod client;
mod connect;
mod pool;
mod runtime;

pub use client::{Client, ClientOptions, DEFAULT_ANSWER_BYTES, Protocol, Request, Response, SendError};
pub use runtime::{Spawner, timer};
