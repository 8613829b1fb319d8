//! Runs the fuzz target on recorded and made bodies and on mutations of them, so that every test run does.

#[path = "../../../fuzz/src/exposition.rs"]
mod entry;

use proptest::prelude::*;
use proptest::sample::Index;

/// A body with the number of its format.
const SEEDS: [(u8, &[u8]); 7] = [
    (0, include_bytes!("cache/tests/golden/text-0.0.4.prom")),
    (0, include_bytes!("cache/tests/golden/text-1.0.0.prom")),
    (1, include_bytes!("cache/tests/golden/openmetrics-0.0.1.prom")),
    (1, include_bytes!("cache/tests/golden/openmetrics-1.0.0.prom")),
    (2, include_bytes!("cache/tests/golden/protobuf.pb")),
    (0, include_bytes!("../../../tests/data/dynamo-1.6.1/worker1.idle.prom")),
    (1, include_bytes!("../../../tests/data/dynamo-1.6.1/worker1.om.prom")),
];

/// The input of the target that has a body whole and then one that is changed.
fn input(rules: u8, body: &[u8], changes: &[(Index, u8, u8)]) -> Vec<u8> {
    let mut changed = body.to_vec();
    for (at, how, byte) in changes {
        let at = at.index(changed.len().max(1)).min(changed.len());
        match how % 5 {
            0 => changed.truncate(at),
            1 => changed.insert(at, *byte),
            2 if at < changed.len() => changed[at] = *byte,
            3 if at < changed.len() => drop(changed.remove(at)),
            _ => {
                let piece = changed[at..(at + usize::from(*byte)).min(changed.len())].to_vec();
                changed.splice(at..at, piece);
            }
        }
    }
    [&[rules, 127][..], body, &changed].concat()
}

#[test]
fn bodies_as_they_are_stand_every_rule() {
    for (format, body) in SEEDS {
        for rules in (format..=255).step_by(3) {
            entry::exposition(&input(rules, body, &[]));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_bodies_stand_it_too(
        seed in prop::sample::select(SEEDS.to_vec()),
        rules in 0u8..84,
        changes in prop::collection::vec(any::<(Index, u8, u8)>(), 1..5),
    ) {
        let (format, body) = seed;
        entry::exposition(&input(rules * 3 + format, body, &changes));
    }
}

/// `cargo xtask fuzz` starts from the same bodies: it names the folder of its corpora.
#[test]
fn bodies_are_kept_for_fuzzing() {
    let Ok(folder) = std::env::var("SLIPRING_FUZZ_CORPORA") else { return };
    let folder = std::path::Path::new(&folder).join("exposition");
    std::fs::create_dir_all(&folder).unwrap();
    for (i, (format, body)) in SEEDS.into_iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{i}")), input(format, body, &[])).unwrap();
    }
}
