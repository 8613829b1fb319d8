//! Unary gRPC over HTTP/2 with messages as raw bytes: framing, compression with a cap before and after, status and
//! retry details. Messages go from the connection to the caller with at most one copy and back out with none.
//! No streaming, no code generation.

mod client;
mod frame;
mod server;
mod status;

pub use client::{CallError, Client, ClientSettings, Reply};
pub use server::{Call, Limits, answer, is_grpc, receive, refuse, timeout};
pub use status::{Code, Status};

#[cfg(test)]
mod tests;
