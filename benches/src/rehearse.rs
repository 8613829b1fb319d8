//! How long `slipring test` takes for a hundred tests of the sidecar's config: a new process each time, from its start to its
//! end.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Options;

/// The tests that are there, again and again under new names.
pub fn run(options: &Options) -> Result<(), String> {
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs");
    let read = |name: &str| {
        std::fs::read_to_string(configs.join(name)).map_err(|error| format!("cannot read {name}: {error}"))
    };
    let text = read("sidecar.test.yaml")?;
    let (head, tests) = text.split_once("\ntests:\n").ok_or("sidecar.test.yaml has no tests")?;
    let tests: Vec<&str> = tests.split("\n  - name: ").map(|test| test.trim_start_matches("  - name: ")).collect();
    let mut file = format!("{head}\ntests:\n");
    for i in 0..options.number("tests", 100) {
        file.push_str(&format!("  - name: {i} {}\n", tests[i % tests.len()]));
    }
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    std::fs::write(folder.path().join("sidecar.yaml"), read("sidecar.yaml")?)
        .and_then(|()| std::fs::write(folder.path().join("sidecar.test.yaml"), &file))
        .map_err(|error| error.to_string())?;
    rounds(options, folder.path())
}

fn rounds(options: &Options, folder: &Path) -> Result<(), String> {
    let slipring = options.text("slipring", "target/release/slipring");
    let (tests, rounds) = (options.number("tests", 100), options.number("rounds", 7).max(1));
    let mut times = Vec::new();
    for _ in 0..rounds {
        let began = Instant::now();
        let status = Command::new(slipring)
            .arg("test")
            .arg(folder.join("sidecar.test.yaml"))
            .stdout(Stdio::null())
            .status()
            .map_err(|error| format!("{slipring} does not start: {error}"))?;
        if !status.success() {
            return Err(format!("the tests failed: {status}"));
        }
        times.push(began.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let middle = times[times.len() / 2];
    let (least, most) = (times[0], times[times.len() - 1]);
    println!("{tests} tests of configs/sidecar.yaml, {rounds} processes: {middle:.2} s each ({least:.2} to {most:.2})");
    Ok(())
}
