//! Any bytes as credentials and as an `htpasswd`. What must hold is said in the extension's own `fuzz` module, which its
//! tests share.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    extensions::basicauth::fuzz::header(data);
    extensions::basicauth::fuzz::htpasswd(data);
});
