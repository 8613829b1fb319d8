//! Fuzzes `json` of the wire layer; what must hold is said in `src/otlp.rs`.
#![no_main]

#[path = "../src/otlp.rs"]
mod otlp;

libfuzzer_sys::fuzz_target!(|data: &[u8]| otlp::json(data));
