//! Remote write against OTLP built by `opentelemetry-proto` and decoders of `prost`.

mod captures;
mod convert;
mod otlp;
mod prompb;
mod properties;
mod send;
