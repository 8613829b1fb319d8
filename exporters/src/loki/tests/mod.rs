//! The exporter against OTLP built by `opentelemetry-proto` and decoders of `prost`.

mod alike;
mod convert;
mod logproto;
mod otlp;
mod send;
