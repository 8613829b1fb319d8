//! Fuzzes what is read of a Prometheus target; what must hold is said in `src/exposition.rs`.
#![no_main]

#[path = "../src/exposition.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::exposition(data));
