//! Any bytes as what the kubelet, `/proc` and a file of counters tell the nvml receiver. What must hold is said in the
//! receiver's own `fuzz` module, which its tests share.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| receivers::nvml::fuzz::outside(data));
