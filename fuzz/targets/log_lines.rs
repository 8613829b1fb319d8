//! Any bytes as a log file: every preset, encoding, pattern and operator makes well-formed records of its lines, as many as it
//! says. What must hold is said in the receiver's own `fuzz` module, which its tests share.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| receivers::file_log::fuzz::file(data));
