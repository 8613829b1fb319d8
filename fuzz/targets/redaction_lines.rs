//! Any bytes as a log line with prompts in it. What must hold is said in the processor's own `fuzz` module, which its tests
//! share.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| processors::redaction::fuzz::line(data));
