//! Unary gRPC.
