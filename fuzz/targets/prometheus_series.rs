//! Any bytes as metrics for remote write and the exposition endpoint. What must hold is said in the exporters' own `fuzz`
//! modules, which their tests share.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| exporters::fuzz::metrics(data));
