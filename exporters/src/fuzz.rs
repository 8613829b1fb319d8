//! What must hold for any metrics request in Prometheus' language: for the fuzz target and the tests, which share it.

use bytes::Bytes;
use pipeline::otlp::wire::Fields;
use pipeline::{Batch, Signal};

use crate::prometheus;
use crate::prometheus_remote_write as remote_write;

/// Any bytes as metrics: remote write of either version and the exposition endpoint refuse them or make something of
/// them, requests are well-formed and within their limits, and no point is counted twice. The first byte chooses options.
///
/// # Panics
/// When that does not hold.
pub fn metrics(data: &[u8]) {
    let Some((options, request)) = data.split_first() else { return };
    let Ok(batch) = Batch::new(Signal::Metrics, Bytes::copy_from_slice(request)) else { return };
    remote_write::fuzz::batch(*options, &batch);
    prometheus::fuzz::batch(*options, &batch);
}

/// Whether every field of a message can be read.
pub(crate) fn is_well_formed(message: &[u8]) -> bool {
    Fields::new(message).all(|field| field.is_ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::metrics;

    /// Requests of real senders, and one of all kinds of points.
    fn seeds() -> Vec<Vec<u8>> {
        let files = ["transformers-5.0.0/metrics-004.pb", "dynamo-1.6.1/otlp/metrics-0003.pb"];
        let path = |file| format!("{}/../tests/data/{file}", env!("CARGO_MANIFEST_DIR"));
        let mut seeds: Vec<_> = files.into_iter().map(|file| std::fs::read(path(file)).unwrap()).collect();
        let text = include_str!("../../fuzz/seeds/metrics.txt");
        seeds.push(pipeline::otlp::text::parse(pipeline::Signal::Metrics, text).unwrap().to_vec());
        seeds
    }

    #[test]
    fn requests_as_they_are_stand_every_option() {
        for seed in seeds() {
            for options in 0..32 {
                metrics(&[&[options], seed.as_slice()].concat());
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn changed_requests_stand_it_too(
            seed in prop::sample::select(seeds()),
            options in any::<u8>(),
            changes in prop::collection::vec(any::<(Index, u8, u8)>(), 1..6),
        ) {
            let mut request = seed;
            for (at, how, byte) in changes {
                let at = at.index(request.len().max(1)).min(request.len());
                match how % 4 {
                    0 => request.insert(at, byte),
                    1 if at < request.len() => request[at] = byte,
                    2 if at < request.len() => drop(request.remove(at)),
                    _ => {
                        let piece = request[at..(at + usize::from(byte)).min(request.len())].to_vec();
                        request.splice(at..at, piece);
                    }
                }
            }
            metrics(&[&[options][..], &request].concat());
        }
    }
}
