//! Any bytes as the body of a log record in which a trace or a request may be named. What must hold is said in the
//! processor's own `fuzz` module, which its tests share.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| processors::trace_correlation::fuzz::line(data));
