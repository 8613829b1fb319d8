//! The one integration binary: the real `slipring` process against real peers and strict stand-ins.
//! Tests against Prometheus, Dynamo and the Python OpenTelemetry SDK are behind the feature `peers`, which
//! `cargo xtask test` turns on after it has installed them.

mod bad_configs;
mod bad_input;
mod cli;
mod collector_configs;
mod correlation;
mod doors;
mod standins;
mod support;

#[cfg(feature = "peers")]
mod dynamo;
mod faults;
mod house;
mod killed;
mod loki_otlp;
mod overload;
#[cfg(feature = "peers")]
mod prometheus_far_side;
#[cfg(feature = "peers")]
mod python_sdk;
mod quickstart;
mod rehearsal;
mod reload;
mod schema;
mod signals;
mod stdin;
mod tables;
mod tailed;
#[cfg(feature = "peers")]
mod twin;
mod why_missing;
