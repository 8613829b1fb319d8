//! `cargo xtask`: everything a contributor runs beside Cargo itself. It needs nothing but the standard library.

mod deny;
mod peers;
mod run;
#[allow(clippy::disallowed_methods, reason = "the soak is about real time")]
mod soak;

use std::process::ExitCode;

use run::{Step, cargo};

const USAGE: &str = "\
usage: cargo xtask <command>

  test     everything: installs the real peers, then format, clippy, docs, cargo deny, unit, property, integration and
           peer tests
  check    format, clippy, docs and cargo deny only
  deny     cargo deny only: licences, bans, sources and advisories of all crates; builds it where it is missing
  peers    installs what the real-peer tests need: Debian's prometheus, a Python environment with Dynamo and OpenTelemetry
  dynamo   runs the real Dynamo with its mock engine until it is stopped: cargo xtask dynamo DIR
  gpu-check  builds a program that holds our readings of NVIDIA GPUs beside nvidia-smi's, says where it is, and runs it
             where there is a driver: cargo xtask gpu-check [LIBRARY [NVIDIA_SMI]]
  soak     runs the release binary under load and sees that memory and file descriptors do not grow:
             cargo xtask soak [MINUTES [PROGRAM]], 10 after a warm-up of 5, and the release build if not said
  fuzz     runs each fuzz target for a while: cargo xtask fuzz [SECONDS]
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let result = match command.as_str() {
        "test" => peers::install().and_then(|peers| {
            let unchecked = check()?;
            test(&peers)?;
            say(unchecked);
            Ok(())
        }),
        "check" => check().map(drop),
        "deny" => deny::check().map(say),
        "peers" => peers::install().map(|peers| println!("{}", peers.describe())),
        "dynamo" => peers::install().and_then(|peers| peers::dynamo(&peers, &rest)),
        "gpu-check" => gpu_check(&rest),
        "soak" => soak::soak(&rest),
        "fuzz" => fuzz(&rest),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// Formats, lints, docs and dependencies. Answers what could not be checked, and why.
fn check() -> Result<Option<String>, String> {
    cargo(&["fmt", "--all", "--check"]).run()?;
    cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "--deny", "warnings"]).run()?;
    cargo(&["doc", "--workspace", "--no-deps", "--all-features"]).env("RUSTDOCFLAGS", "--deny warnings").run()?;
    let unchecked = deny::check()?;
    say(unchecked.clone());
    Ok(unchecked)
}

/// Says what could not be checked, where it is seen: at the end, too.
fn say(unchecked: Option<String>) {
    if let Some(unchecked) = unchecked {
        eprintln!("\n{unchecked}");
    }
}

fn test(peers: &peers::Peers) -> Result<(), String> {
    // One command, so that a failure anywhere fails it, and `--no-fail-fast`, so that it shows all of them.
    let tests = peers.for_tests(cargo(&["test", "--workspace", "--all-features", "--no-fail-fast"]));
    match property_seed() {
        Some(seed) => tests.env(SEED, seed).run(),
        None => tests.run(),
    }
}

const SEED: &str = "PROPTEST_RNG_SEED";

/// A number of the commit's files: each state of them has its own random cases, and two runs of it have the same.
fn property_seed() -> Option<String> {
    if std::env::var_os(SEED).is_some() {
        return None;
    }
    let tree = Step::new("git").args(["rev-parse", "HEAD^{tree}"]).output().ok()?;
    let seed = u64::from_str_radix(tree.get(..16)?, 16).ok()?.to_string();
    println!("property tests begin from {SEED}={seed}");
    Some(seed)
}

fn gpu_check(arguments: &[String]) -> Result<(), String> {
    cargo(&["build", "--release", "-p", "receivers", "--example", "gpu_check"]).run()?;
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned());
    let program = format!("{target}/release/examples/gpu_check");
    println!("{program} can be copied to a machine with a GPU and needs nothing but its driver");
    Step::new(&program).args(arguments.to_vec()).run()
}

fn fuzz(arguments: &[String]) -> Result<(), String> {
    let seconds = arguments.first().map_or("60", String::as_str);
    let targets = Step::new("cargo").args(["fuzz", "list"]).output().map_err(|error| {
        format!("{error}\ncargo-fuzz is missing or cannot run: install it with `cargo install cargo-fuzz`")
    })?;
    let corpora = std::env::current_dir().map_err(|error| error.to_string())?.join("fuzz/corpus");
    cargo(&["test", "-p", "pipeline", "-p", "receivers", "--all-features", "mutations"])
        .env("SLIPRING_FUZZ_CORPORA", corpora)
        .run()?;
    for target in targets.lines() {
        // Coverage without a sanitizer needs no nightly compiler.
        Step::new("cargo")
            .args(["fuzz", "run", "--sanitizer", "none", target, "--"])
            .args([format!("-max_total_time={seconds}")])
            .run()?;
    }
    Ok(())
}
