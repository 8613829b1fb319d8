//! Fuzzes what others say about targets; what must hold is said in `src/discovery.rs`.
#![no_main]

#[path = "../src/discovery.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::discovery(data));
