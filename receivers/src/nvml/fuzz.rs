//! Entry points for fuzzing and property tests: any bytes as what the kubelet, `/proc` and a file of counters say.

use super::{counters, kubelet, processes};

/// Any bytes through everything that reads what others have written. Nothing may panic, and what comes out is bounded by
/// what went in.
pub fn outside(bytes: &[u8]) {
    if let Ok(owners) = kubelet::owners(bytes) {
        assert!(owners.len() <= bytes.len() && owners.keys().all(|device| bytes.len() >= device.len()));
        assert!(owners.values().all(|of| of.is_sorted() && !of.is_empty()));
    }
    let labels = processes::dynamo(bytes);
    assert!(labels.is_sorted() && labels.iter().all(|(_, value)| !value.is_empty()));
    let text = String::from_utf8_lossy(bytes);
    if let Some(owner) = processes::container(&text) {
        assert!(owner.container_id.is_empty() || owner.container_id.len() == 64);
    }
    if let Ok(read) = counters::read(&text) {
        assert!(read.counters.len() + read.unknown.len() <= text.lines().count());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_others_say_is_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            outside(&bytes);
        }

        #[test]
        fn so_is_what_nearly_has_the_form(parts in proptest::collection::vec(
            prop_oneof![
                Just("\n\u{10}\u{1a}"), Just("GPU-1"), Just("DYN_COMPONENT="), Just("\0"), Just("0::/kubepods/pod"),
                Just("\n"), Just(","), Just("gauge"), Just("DCGM_FI_DEV_GPU_TEMP"), Just("é"), Just("/docker-"),
            ],
            0..12,
        )) {
            outside(parts.concat().as_bytes());
        }
    }
}
