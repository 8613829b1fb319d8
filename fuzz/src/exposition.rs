//! What must hold for a Prometheus target whatever it answers. The fuzz target and a test of the workspace share it. The
//! first byte chooses format and rules, the second where the rest is cut into two bodies.

use std::sync::Arc;

use pipeline::otlp::check;
use pipeline::{Batch, Signal};
use receivers::prometheus::cache::{Cache, Counts, Histograms, Limits, Measures, Rules};
use receivers::prometheus::exposition::{Entry, Format, Parser};

/// Two bodies of one target and the first again: nothing panics, every request that comes of them is well-formed and has
/// as many points as it says, and reading a body again with each series expected gives the same.
pub fn exposition(data: &[u8]) {
    let &[rules, cut, ref rest @ ..] = data else { return };
    let format = [Format::Text, Format::OpenMetrics, Format::Protobuf][usize::from(rules % 3)];
    let is_set = |bit: u8| rules & (1 << bit) != 0;
    let histograms = Histograms {
        native: is_set(2),
        always_classic: is_set(3),
        custom_buckets: is_set(4),
        bucket_limit: if is_set(5) { 8 } else { 0 },
        ..Histograms::default()
    };
    let limits = Limits { labels: if is_set(6) { 8 } else { 0 }, ..Limits::default() };
    let rules = Rules { honor_timestamps: true, honor_labels: is_set(7), histograms, limits, ..Rules::default() };
    let target = [("instance", "a:1"), ("job", "j")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut cache = Cache::new(Arc::new(rules), target.to_vec(), "http");
    let (first, second) = rest.split_at(rest.len() * usize::from(cut) / 255);
    for (at_ms, body) in (1_700_000_000_000..).step_by(10_000).zip([first, second, first, second, second]) {
        if format != Format::Protobuf {
            let once = samples(body, format, &[]);
            let series: Vec<&[u8]> = once.iter().map(|(series, ..)| *series).collect();
            assert_eq!(once, samples(body, format, &series));
        }
        let mut counts = Counts::default();
        let up = cache.read(body, format, at_ms, &mut counts).is_ok();
        let (request, items) = cache.write(&Measures::Scrape { up, seconds: 0.0, counts, extra: None });
        check::full(Signal::Metrics, &request).expect("our own writing is well-formed");
        let batch = Batch::new(Signal::Metrics, request.into()).expect("our own writing is well-formed");
        assert_eq!(batch.items(), items);
        cache.commit(up);
    }
}

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
