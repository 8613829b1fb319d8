//! Any bytes as bodies of one Prometheus target, one after the other: nothing panics, every request that comes of them is
//! well-formed and has as many points as it says, and reading a body again with each series expected gives the same.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use pipeline::{Batch, Signal};
use receivers::prometheus::cache::{Cache, Counts, Measures, Rules};
use receivers::prometheus::exposition::{Entry, Format, Parser};

/// The samples of a body, read with those of `expected`.
fn samples<'a>(body: &'a [u8], format: Format, expected: &[&[u8]]) -> Vec<(&'a [u8], u64, Option<i64>)> {
    let mut parser = Parser::new(body, format);
    let mut out = Vec::new();
    while let Some(Ok(entry)) = parser.next(expected.get(out.len()).copied().unwrap_or_default()) {
        if let Entry::Sample(sample) = entry {
            if !sample.expected {
                parser.labels().for_each(drop);
            }
            parser.exemplar_labels().for_each(drop);
            out.push((sample.series, sample.value.to_bits(), sample.timestamp));
        }
    }
    out
}

fuzz_target!(|bytes: &[u8]| {
    let rules = Rules { honor_timestamps: true, ..Rules::default() };
    let target = [("instance", "a:1"), ("job", "j")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut cache = Cache::new(Arc::new(rules), target.to_vec(), "http");
    for (at_ms, body) in (1_700_000_000_000..).step_by(10_000).zip(bytes.split(|byte| *byte == 0xff)) {
        let format = if body.ends_with(b"# EOF\n") { Format::OpenMetrics } else { Format::Text };
        let once = samples(body, format, &[]);
        let series: Vec<&[u8]> = once.iter().map(|(series, ..)| *series).collect();
        assert_eq!(once, samples(body, format, &series));

        let mut counts = Counts::default();
        let up = cache.read(body, format, at_ms, &mut counts).is_ok();
        let (request, items) = cache.write(&Measures::Scrape { up, seconds: 0.0, counts, extra: None });
        let batch = Batch::new(Signal::Metrics, request.into()).expect("our own writing is well-formed");
        assert_eq!(batch.items(), items);
        cache.commit(up);
    }
});
