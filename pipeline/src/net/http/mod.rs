//! HTTP/1.1 and HTTP/2: a client that keeps its connections, and a server on a door's listener.

mod admission;
mod client;
mod connect;
mod guard;
mod message;
mod pool;
mod proxy;
mod redirect;
mod runtime;
mod server;

pub use hyper::body::Incoming;

pub use admission::Admission;
pub use client::{Client, ClientOptions, Protocol, Streaming};
pub use message::{DEFAULT_ANSWER_BYTES, Request, Response, SendError};
pub use proxy::{Proxies, Proxy};
pub use runtime::{Spawner, timer};
pub use server::{Handler, ServerOptions, serve};

#[cfg(test)]
mod tests;
