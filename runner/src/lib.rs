//! Tests of whole configs: what comes in at receivers, what goes out of exporters, with the real components in between and
//! nothing else. Only sockets, files and time are simulated. `slipring test` is its face; the format of test files is in
//! the crate's README.
//!
//! Components are reached through the [`Registry`] alone, so that a binary with components of its own tests those, too.

mod compare;
mod coverage;
mod decode;
mod driver;
mod expected;
mod input;
mod judge;
mod own_metrics;
mod play;
mod prepare;
mod record;
mod rehearse;
mod replay;
mod report;
mod series;
mod suite;
mod update;
mod watch;
mod world;

use std::io::{self, IsTerminal, Write};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pipeline::Registry;
use pipeline::config::report::{Report, Style};
use pipeline::doors::Doors;

pub use record::{RecordOptions, record};
pub use replay::{ReplayOptions, replay};

use prepare::{Configs, Prepared, check_ids};
use rehearse::Verdict;
use suite::{Reader, Suite};

/// A test failed.
const FAILED: u8 = 1;
/// A test file, or the config that it is of, is broken.
const BROKEN: u8 = 2;
/// No test file is larger.
const MOST_BYTES: usize = 16 << 20;

/// What to test, and how to say what came of it.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Test files.
    pub files: Vec<PathBuf>,
    /// Only tests whose name contains this.
    pub filter: Option<String>,
    /// How results are written.
    pub format: Format,
    /// Write what came as what is expected.
    pub update: bool,
    /// Say which parts of the configs no test exercises.
    pub coverage: bool,
    /// Fail below so many per cent of coverage.
    pub least_coverage: Option<f64>,
    /// Run again whenever a file changes.
    pub watch: bool,
    /// Configs that `builtin:name` finds.
    pub builtin: &'static [(&'static str, &'static str)],
}

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// JUnit's XML, for CI systems.
    Junit,
    /// One JSON object.
    Json,
}

/// What became of all tests.
pub(crate) struct Results {
    /// By file.
    pub suites: Vec<(Suite, Vec<Finished>)>,
    /// Tests that the filter left out.
    pub left_out: usize,
    /// In all.
    pub took: Duration,
    /// What the tests exercise, by file; empty where nobody asked.
    pub coverage: Vec<coverage::Coverage>,
}

/// A test that has run.
pub(crate) struct Finished {
    /// Its place in its suite.
    pub case: usize,
    /// What became of it.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
}

/// Runs the tests of all files, writes what came of them to standard output, and answers the exit code: 0 when all passed,
/// 1 when a test failed, 2 when a test file or a config is broken.
pub fn test(registry: &Registry, options: &Options) -> ExitCode {
    loop {
        let mut paths = options.files.clone();
        let before = watch::stamps(&paths);
        let code = once(registry, options, &mut paths);
        if !options.watch {
            return ExitCode::from(code);
        }
        say(&format!("waiting for changes of {} files; Ctrl-C ends it\n", paths.len()));
        let mut stamps = watch::stamps(&paths);
        stamps.extend(before);
        watch::changed(&paths, &stamps);
    }
}

/// Runs the tests once; answers the exit code, and adds the files that they depend on.
fn once(registry: &Registry, options: &Options, paths: &mut Vec<PathBuf>) -> u8 {
    let clock = Doors::real().clock;
    let began = clock.now();
    let (mut suites, mut broken) = (Vec::new(), Vec::new());
    for path in &options.files {
        match load(registry, path) {
            Ok(suite) => suites.push(suite),
            Err(report) => broken.push(report),
        }
    }
    let mut configs = Configs::new(registry, options.builtin);
    let mut ready = Vec::new();
    for suite in &mut suites {
        let named = suite.cases.iter().flat_map(|case| &case.setting.configs);
        paths.extend(named.filter(|name| !name.contains(':')).map(PathBuf::from));
        match prepared(suite, &mut configs) {
            Ok(all) => ready.push(all),
            Err(mut reports) => broken.append(&mut reports),
        }
    }
    paths.sort();
    paths.dedup();
    if !broken.is_empty() {
        let style = if io::stderr().is_terminal() { Style::Terminal } else { Style::Plain };
        broken.iter().for_each(|report| _ = io::stderr().write_all(report.render(style).as_bytes()));
        return BROKEN;
    }
    let mut results = run(suites, &ready, options);
    results.took = clock.now().saturating_sub(began);
    if options.coverage || options.least_coverage.is_some() {
        let of = |((suite, finished), ready): (&(Suite, Vec<Finished>), &Vec<Ready>)| {
            coverage::coverage(registry, suite, ready, finished)
        };
        results.coverage = results.suites.iter().zip(&ready).map(of).collect();
    }
    say(&match options.format {
        Format::Text => report::text(&results, io::stdout().is_terminal()),
        Format::Junit => report::junit(&results),
        Format::Json => report::json(&results),
    });
    if options.update {
        return update(&results);
    }
    let passed = results.suites.iter().all(|(_, all)| all.iter().all(|one| one.verdict.mismatches.is_empty()));
    let least = options.least_coverage.unwrap_or(0.0);
    let covered = results.coverage.iter().all(|coverage| coverage.per_cent() >= least);
    if passed && covered { 0 } else { FAILED }
}

/// Runs the tests that are wanted.
fn run(suites: Vec<Suite>, ready: &[Vec<Ready>], options: &Options) -> Results {
    let wanted = |name: &str| options.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()));
    let mut work = Vec::new();
    for (s, (suite, ready)) in suites.iter().zip(ready).enumerate() {
        work.extend(suite.cases.iter().zip(ready).enumerate().map(|(c, (case, ready))| (s, c, case, ready)));
    }
    let all = work.len();
    work.retain(|(_, _, case, _)| wanted(&case.name));
    let left_out = all - work.len();
    let finished = in_parallel(&work, |(s, c, case, ready)| {
        let clock = Doors::real().clock;
        let began = clock.now();
        let verdict = rehearse::run(case, &ready.config, &ready.reloads);
        (*s, Finished { case: *c, verdict, took: clock.now().saturating_sub(began) })
    });
    let mut by_suite: Vec<Vec<Finished>> = suites.iter().map(|_| Vec::new()).collect();
    for (suite, one) in finished {
        by_suite[suite].push(one);
    }
    let suites = suites.into_iter().zip(by_suite).collect();
    Results { suites, left_out, took: Duration::ZERO, coverage: Vec::new() }
}

/// Writes what came into the test files; answers the exit code.
fn update(results: &Results) -> u8 {
    let mut code = 0;
    for (suite, finished) in &results.suites {
        let written = match update::updated(suite, finished) {
            Ok(None) => continue,
            Ok(Some((text, count))) => Doors::real()
                .files
                .replace(&suite.path, text.as_bytes())
                .map(|()| count)
                .map_err(|error| format!("cannot write {}: {error}", suite.path.display())),
            Err(error) => Err(error),
        };
        match written {
            Ok(count) => say(&format!("{}: {count} expectations written\n", suite.path.display())),
            Err(error) => {
                let _ = writeln!(io::stderr(), "error: {error}");
                code = BROKEN;
            }
        }
    }
    code
}

/// Prints a result. A reader that has gone away is no failure of ours.
fn say(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
    let _ = io::stdout().flush();
}

/// A test's configs.
struct Ready {
    config: Arc<Prepared>,
    reloads: Vec<Arc<Prepared>>,
}

fn load(registry: &Registry, path: &Path) -> Result<Suite, Report> {
    let read = Doors::real().files.read_small(path, MOST_BYTES).map_err(|error| error.to_string());
    let text = read.and_then(|bytes| String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned()));
    let text = match text {
        Ok(text) => text,
        Err(error) => {
            let mut report = Report::default();
            let source = report.sources.add(&path.display().to_string(), "");
            let at = pipeline::config::tree::At { source, ..Default::default() };
            report.push(pipeline::config::report::Diagnostic::error(at, format!("cannot read the test file: {error}")));
            return Err(report);
        }
    };
    let suite = Reader::read(registry, path, &text);
    if suite.report.errors() > 0 { Err(suite.report) } else { Ok(suite) }
}

/// The configs of a suite's tests; or everything that is wrong with them.
fn prepared(suite: &mut Suite, configs: &mut Configs<'_>) -> Result<Vec<Ready>, Vec<Report>> {
    let mut out = Vec::new();
    let mut broken: Vec<Arc<Report>> = Vec::new();
    for case in &suite.cases {
        let mut get = |setting| {
            configs.get(setting, &case.files).map_err(|report| {
                if !broken.iter().any(|known| Arc::ptr_eq(known, &report) || known.diagnostics == report.diagnostics) {
                    broken.push(report);
                }
            })
        };
        let Ok(config) = get(&case.setting) else { continue };
        let reloads: Vec<_> = case.reloads.iter().filter_map(|(_, setting, _)| get(setting).ok()).collect();
        let all: Vec<_> = [config.clone()].into_iter().chain(reloads.iter().cloned()).collect();
        check_ids(case, &all, &mut suite.report);
        out.push(Ready { config, reloads });
    }
    let mut reports: Vec<Report> = broken.iter().map(|report| Report::clone(report)).collect();
    if suite.report.errors() > 0 {
        suite.report.sort();
        reports.push(suite.report.clone());
    }
    if reports.is_empty() { Ok(out) } else { Err(reports) }
}

/// Does all work on as many threads as the machine has cores; answers in the order of the work.
fn in_parallel<W: Sync, R: Send>(work: &[W], each: impl Fn(&W) -> R + Sync) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(work.len().max(1));
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(work.len()));
    let serve = || {
        while let Some((i, one)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, work.get(i)?))) {
            let result = each(one);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((i, result));
        }
    };
    std::thread::scope(|scope| {
        (1..threads).for_each(|_| _ = scope.spawn(serve));
        serve();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, result)| result).collect()
}
