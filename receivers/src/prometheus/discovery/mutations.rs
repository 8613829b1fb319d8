//! Runs the fuzz target on documents and on mutations of them, so that every test run does.

#[path = "../../../../fuzz/src/discovery.rs"]
mod entry;

use proptest::prelude::*;
use proptest::sample::Index;

/// Who says what.
const SEEDS: [(u8, &[u8]); 12] = [
    (0, b"[\n\t{\"targets\": [\"a:1\", \"[::1]:2\"], \"labels\": {\"__meta_x\": \"y\", \"__scheme__\": \"https\"}}\n]"),
    (1, b"- targets: [a:1, 'b']\n  labels: {zone: z1, __scrape_interval__: 5s, __param_a: c d}\n- targets: []\n"),
    (2, b"\0\x01\x81\x80\0\x01\0\x01\0\0\0\0\x01w\0\0\x01\0\x01\xc0\x0c\0\x01\0\x01\0\0\0\x1e\0\x04\x0a\0\0\x01"),
    (4, b"\0\x01\x81\x80\0\x01\0\x01\0\0\0\0\x01w\0\0\x21\0\x01\xc0\x0c\0\x21\0\x01\0\0\0\x1e\0\x08\0\0\0\0\0\x09\xc0\x0c"),
    (6, b"\0\x01\x81\x80\0\0\0\x01\0\0\0\0\0\0\x02\0\x01\0\0\0\x1e\0\x05\x03a.b\0"),
    (7, br#"{"metadata":{"resourceVersion":"1"},"items":[{"metadata":{"name":"p","namespace":"n","labels":{"a/b":"c"}},"spec":{"containers":[{"name":"c","ports":[{"containerPort":9}]},{"name":"d"}]},"status":{"podIP":"10.0.0.1","conditions":[{"type":"Ready","status":"True"}]}}]}"#),
    (8, br#"{"items":[{"metadata":{"name":"s","namespace":"n"},"spec":{"type":"LoadBalancer","ports":[{"port":80}]}}]}"#),
    (9, br#"{"items":[{"metadata":{"name":"e"},"subsets":[{"addresses":[{"ip":"10.0.0.1","targetRef":{"kind":"Pod","name":"p"}}],"ports":[{"port":80}]}]}]}"#),
    (10, br#"{"items":[{"metadata":{"name":"e","labels":{"kubernetes.io/service-name":"s"}},"endpoints":[{"addresses":["a"],"conditions":{"ready":true}}],"ports":[{"port":80},{"port":null}]}]}"#),
    (11, br#"{"items":[{"metadata":{"name":"k"},"status":{"addresses":[{"type":"InternalIP","address":"fd00::1"}],"daemonEndpoints":{"kubeletEndpoint":{"Port":10250}}}}]}"#),
    (12, br#"{"items":[{"metadata":{"name":"i"},"spec":{"tls":[{"hosts":["*.a"]}],"rules":[{"host":"x.a","http":{"paths":[{"path":"/y"}]}},{}]}}]}"#),
    (13, br#"{"type":"ADDED","object":{"metadata":{"name":"p","resourceVersion":"7"}}}"#),
];

fn input(who: u8, document: &[u8], changes: &[(Index, u8, u8)]) -> Vec<u8> {
    let mut changed = document.to_vec();
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
    [&[who][..], &changed].concat()
}

#[test]
fn documents_as_they_are_stand_every_reader() {
    for (_, document) in SEEDS {
        (0..entry::SPEAKERS).for_each(|who| entry::discovery(&input(who, document, &[])));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_documents_stand_them_too(
        seed in prop::sample::select(SEEDS.to_vec()),
        changes in prop::collection::vec(any::<(Index, u8, u8)>(), 1..5),
    ) {
        let (who, document) = seed;
        entry::discovery(&input(who, document, &changes));
    }
}

/// `cargo xtask fuzz` starts from the same documents: it names the folder of their corpora.
#[test]
fn documents_are_kept_for_fuzzing() {
    let Ok(folder) = std::env::var("SLIPRING_FUZZ_CORPORA") else { return };
    let folder = std::path::Path::new(&folder).join("discovery");
    std::fs::create_dir_all(&folder).unwrap();
    for (i, (who, document)) in SEEDS.into_iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{i}")), input(who, document, &[])).unwrap();
    }
}
