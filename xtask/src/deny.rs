//! `cargo deny`: whether what we ship may be used, is maintained, and comes from one place; the rules are in `deny.toml`.
//! The database of advisories is a git repository on the internet, which not every network reaches. Everything else is
//! checked in any case, and what could not be checked is said.

use std::path::{Path, PathBuf};

use crate::peers::cache;
use crate::run::{Step, cargo};

const VERSION: &str = "0.20.2";

/// Checks licences, bans, sources and advisories. Answers what could not be checked, and why.
pub fn check() -> Result<Option<String>, String> {
    let deny = install()?;
    let run = |arguments: &[&str]| {
        Step::new(&deny).args(["--all-features", "check", "--hide-inclusion-graph"]).args(arguments).run()
    };
    run(&["licenses", "bans", "sources"])?;
    match Step::new(&deny).args(["fetch", "db"]).output() {
        Ok(_) => run(&["advisories"]).map(|()| None),
        Err(why) => Ok(Some(format!(
            "NOT CHECKED: advisories about vulnerable, unmaintained and yanked crates. Their database cannot be fetched \
             here; licences, bans and sources are checked. Run `cargo xtask check` where it can be.\n{}",
            why.trim_end()
        ))),
    }
}

/// The program, of this version; built once from crates.io into the cache folder. It is run for a second and built for two
/// minutes, so it is built without the optimizations of its release profile.
fn install() -> Result<PathBuf, String> {
    let root = cache().join(format!("cargo-deny-{VERSION}"));
    let program = root.join("bin/cargo-deny");
    if Step::new(&program).args(["--version"]).succeeds() {
        return Ok(program);
    }
    let target = root.join("target");
    cargo(&["install", "--locked", "--quiet", "cargo-deny", "--version", VERSION, "--root"])
        .args([&root])
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
        .run()?;
    remove(&target)?;
    Ok(program)
}

fn remove(folder: &Path) -> Result<(), String> {
    std::fs::remove_dir_all(folder).map_err(|error| format!("cannot remove {}: {error}", folder.display()))
}
