//! Runs the fuzz targets on their seeds and on a few thousand mutations of them, so that every test run does.

#[path = "../../../fuzz/src/otlp.rs"]
mod targets;

use std::path::Path;

use crate::batch::Signal;
use crate::otlp::{json, text};

const SEEDS: [(u8, Signal, &str); 3] = [
    (0, Signal::Traces, include_str!("../../../fuzz/seeds/traces.txt")),
    (1, Signal::Metrics, include_str!("../../../fuzz/seeds/metrics.txt")),
    (2, Signal::Logs, include_str!("../../../fuzz/seeds/logs.txt")),
];

/// The inputs that a target starts from: requests, and for text and JSON also those.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for (number, signal, seed) in SEEDS {
        let request = text::parse(signal, seed).unwrap_or_else(|error| panic!("{error}"));
        match target {
            "text" => out.push([&[number], seed.as_bytes()].concat()),
            "json" => out.push([&[number][..], &json::from_proto(signal, &request).unwrap()].concat()),
            _ => {}
        }
        for arguments in [0, 1, 4, 20] {
            out.push([&[number + 3 * arguments], &request[..]].concat());
        }
    }
    out
}

#[test]
fn every_entry_point_stands_mutated_bytes() {
    let mut state = 0x1234_5678_9abc_def0_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let rounds = std::env::var("SLIPRING_MUTATIONS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(150);
    for (name, target) in targets::ALL {
        let seeds = seeds(name);
        keep_for_fuzzing(name, &seeds);
        for seed in seeds {
            target(&seed);
            for _ in 0..rounds {
                let mut input = seed.clone();
                for _ in 0..=random(4) {
                    let at = random(input.len().max(1)).min(input.len().saturating_sub(1));
                    match random(6) {
                        0 => input.truncate(at),
                        1 => input[at] ^= 1 << random(8),
                        2 => input[at] = random(256) as u8,
                        3 => input.insert(at, random(256) as u8),
                        4 => drop(input.remove(at)),
                        _ => {
                            let piece = input[at..(at + random(40)).min(input.len())].to_vec();
                            let to = random(input.len());
                            input.splice(to..to, piece);
                        }
                    }
                    if input.is_empty() {
                        break;
                    }
                }
                target(&input);
            }
        }
    }
}

/// `cargo xtask fuzz` starts from the same seeds: it names the folder of their corpora.
fn keep_for_fuzzing(name: &str, seeds: &[Vec<u8>]) {
    let Some(corpora) = std::env::var_os("SLIPRING_FUZZ_CORPORA") else { return };
    let folder = Path::new(&corpora).join(format!("otlp_{name}"));
    std::fs::create_dir_all(&folder).unwrap();
    for (i, seed) in seeds.iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{i}")), seed).unwrap();
    }
}
