//! Random bodies, one after the other, against a plain model: what Prometheus would store of each, and which series end.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// One line, small enough an alphabet that lines meet: the same series, pieces of one histogram, types that change.
fn line() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "a_bucket", "a_sum", "a_count", "a_total", "a_created", "b", "b_info"]);
    let family = prop::sample::select(vec!["a", "a_count", "a_total", "b"]);
    let kind = prop::sample::select(vec!["counter", "gauge", "histogram", "summary", "untyped"]);
    let label = prop::sample::select(vec![
        "",
        "le=\"1.0\"",
        "le=\"2.0\"",
        "le=\"+Inf\"",
        "le=\"x\"",
        "quantile=\"0.5\"",
        "quantile=\"1.0\"",
        "x=\"1\"",
        "job=\"other\"",
    ]);
    let more = prop::sample::select(vec!["", ",x=\"2\"", ",le=\"+Inf\""]);
    let value = prop::sample::select(vec!["0", "1", "2", "3", "1.5", "NaN", "-1"]);
    prop_oneof![
        1 => (family.clone(), kind).prop_map(|(family, kind)| format!("# TYPE {family} {kind}\n")),
        1 => family.prop_map(|family| format!("# HELP {family} some text\n")),
        8 => (name, label, more, value).prop_map(|(name, label, more, value)| {
            let name_of = |label: &str| label.trim_start_matches(',').split('=').next().map(str::to_owned);
            let more = if label.is_empty() || name_of(label) == name_of(more) { "" } else { more };
            format!("{name}{{{label}{more}}} {value}\n")
        }),
    ]
}

/// A histogram as it should be, so that there are some.
fn histogram() -> impl Strategy<Value = String> {
    (0u32..3, 0u32..3).prop_map(|(low, high)| {
        let all = low + high;
        format!(
            "# TYPE a histogram\na_bucket{{le=\"1.0\"}} {low}\na_bucket{{le=\"+Inf\"}} {all}\na_sum 2.5\na_count {all}\n"
        )
    })
}

fn body() -> impl Strategy<Value = String> {
    prop::collection::vec(prop_oneof![4 => line(), 1 => histogram()], 0..25).prop_map(|lines| lines.concat())
}

/// What Prometheus would store of a body: of each series the first value.
fn stored_once(body: &str) -> BTreeMap<String, u64> {
    let mut parser = Parser::new(body.as_bytes(), Format::Text);
    let mut out = BTreeMap::new();
    let target = [("instance".to_owned(), "worker:8081".to_owned()), ("job".to_owned(), "dynamo".to_owned())];
    while let Some(entry) = parser.next(b"") {
        if let Entry::Sample(sample) = entry.unwrap() {
            let named = (METRIC_NAME.into(), parser.name());
            let mut labels = Labels::scraped(std::iter::once(named).chain(parser.labels()));
            labels.add_target(&target, true);
            out.entry(series(labels.iter())).or_insert(sample.value.to_bits());
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bodies_arrive_as_prometheus_would_store_them(
        steps in prop::collection::vec((body(), prop::bool::weighted(0.85), prop::bool::weighted(0.85)), 1..6)
    ) {
        let mut target = Target::with(Rules { honor_labels: true, ..Rules::default() });
        let mut live: BTreeSet<String> = BTreeSet::new();
        for (body, good, delivered) in steps {
            let text = if good { body.clone() } else { format!("{body}rubbish") };
            let scraped = target.read(Some(&text), delivered);
            prop_assert_eq!(scraped.error.is_none(), good);
            let is_own = |flat: &Flat| flat.series.starts_with("up{") || flat.series.starts_with("scrape_");
            let got: BTreeMap<_, _> = scraped
                .flat()
                .into_iter()
                .filter(|flat| !is_own(flat))
                .map(|flat| (flat.series, flat.value.map(f64::to_bits)))
                .collect();
            let now = if good { stored_once(&body) } else { BTreeMap::new() };
            let gone = live.iter().filter(|series| !now.contains_key(*series)).map(|series| (series.clone(), None));
            let expected: BTreeMap<_, _> = now.iter().map(|(s, value)| (s.clone(), Some(*value))).chain(gone).collect();
            prop_assert_eq!(got, expected);
            if delivered {
                live.clear();
            }
            live.extend(now.into_keys());
        }
    }
}
