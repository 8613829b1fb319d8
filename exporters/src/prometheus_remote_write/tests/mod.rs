//! Remote write against OTLP built by `opentelemetry-proto` and decoders of `prost`.

mod captures;
mod convert;
mod packed;
mod prompb;
mod prompb_2;
mod properties;
mod send;
mod version_2;
