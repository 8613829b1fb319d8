//! HTTP, gRPC, TLS and compression over the doors, with a cap on everything that comes from outside. Knows nothing of
//! OTLP.

pub mod auth;
pub mod body;
pub mod compress;
pub mod config;
pub mod grpc;
pub mod http;
pub mod oauth2;
pub mod origin;
pub mod retry_after;
pub mod secret;
pub mod tls;
