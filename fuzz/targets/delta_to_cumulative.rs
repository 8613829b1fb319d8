//! Any bytes as metrics whose deltas are added up. What must hold is said in the processor's own `fuzz` module, which its
//! tests share.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| processors::delta_to_cumulative::fuzz::metrics(data));
