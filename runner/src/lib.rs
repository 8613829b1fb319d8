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
use watch::Watch;

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
    /// SARIF 2.1.0, for what shows findings beside the lines: problems, and tests that failed.
    Sarif,
}

/// What became of all tests.
#[derive(Default)]
pub(crate) struct Results {
    /// By file.
    pub suites: Vec<(Suite, Vec<Finished>)>,
    /// Tests that the filter left out.
    pub left_out: usize,
    /// In all.
    pub took: Duration,
    /// What the tests exercise, by file; empty where nobody asked.
    pub coverage: Vec<coverage::Coverage>,
    /// What is wrong with test files and configs, or at least worth a look.
    pub problems: Vec<Arc<Report>>,
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
        let watch = Watch::default();
        let code = once(registry, options, &watch);
        if !options.watch {
            return ExitCode::from(code);
        }
        say(&format!("waiting for changes of {} files; Ctrl-C ends it\n", watch.count()));
        watch.changed();
    }
}

/// Runs the tests once; answers the exit code. `watch` learns which files they depend on.
fn once(registry: &Registry, options: &Options, watch: &Watch) -> u8 {
    let clock = Doors::real().clock;
    let began = clock.now();
    let (mut suites, mut problems) = (Vec::new(), Vec::new());
    for path in &options.files {
        match load(registry, path, watch) {
            Ok(suite) => suites.push(suite),
            Err(report) => problems.push(Arc::new(report)),
        }
    }
    let mut configs = Configs::new(registry, options.builtin, watch);
    let mut ready = Vec::new();
    for suite in &mut suites {
        ready.push(prepared(suite, &mut configs, &mut problems));
    }
    if problems.iter().any(|report| report.errors() > 0) {
        say_results(&Results { problems, ..Results::default() }, options.format);
        return BROKEN;
    }
    let mut results = run(suites, &ready, options);
    results.problems = problems;
    results.took = clock.now().saturating_sub(began);
    if options.coverage || options.least_coverage.is_some() {
        let of = |((suite, finished), ready): (&(Suite, Vec<Finished>), &Vec<Ready>)| {
            coverage::coverage(registry, suite, ready, finished)
        };
        results.coverage = results.suites.iter().zip(&ready).map(of).collect();
    }
    say_results(&results, options.format);
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
    Results { suites: suites.into_iter().zip(by_suite).collect(), left_out, ..Results::default() }
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

/// Prints what became of the tests; what is wrong with files goes to standard error where people, not programs, read it.
fn say_results(results: &Results, format: Format) {
    let style = if io::stderr().is_terminal() { Style::Terminal } else { Style::Plain };
    let broken = results.problems.iter().any(|report| report.errors() > 0);
    if matches!(format, Format::Text | Format::Junit) {
        let problems = results.problems.iter().map(|report| report.render(style));
        problems.for_each(|text| _ = io::stderr().write_all(text.as_bytes()));
    }
    match format {
        Format::Text if broken => {}
        Format::Text => say(&report::text(results, io::stdout().is_terminal())),
        Format::Junit => say(&report::junit(results)),
        Format::Json => say(&report::json(results)),
        Format::Sarif => say(&report::sarif(results)),
    }
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

fn load(registry: &Registry, path: &Path, watch: &Watch) -> Result<Suite, Report> {
    let read = watch.read(path, MOST_BYTES).map_err(|error| error.to_string());
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
    let suite = Reader::read(registry, watch, path, &text);
    if suite.report.errors() > 0 { Err(suite.report) } else { Ok(suite) }
}

/// The configs of a suite's tests, as far as they can be used; what there is to say about them and the suite goes to
/// `problems`, once.
fn prepared(suite: &mut Suite, configs: &mut Configs<'_>, problems: &mut Vec<Arc<Report>>) -> Vec<Ready> {
    let mut note = |report: &Arc<Report>| {
        let is_known = |known: &Arc<Report>| Arc::ptr_eq(known, report) || known.diagnostics == report.diagnostics;
        if !report.diagnostics.is_empty() && !problems.iter().any(is_known) {
            problems.push(report.clone());
        }
    };
    let mut out = Vec::new();
    for case in &suite.cases {
        let mut get = |setting| {
            let config = configs.get(setting, &case.files);
            note(config.as_ref().map_or_else(|report| report, |config| &config.report));
            config.ok()
        };
        let config = get(&case.setting);
        let reloads: Vec<_> = case.reloads.iter().filter_map(|(_, setting, _)| get(setting)).collect();
        let Some(config) = config else { continue };
        let all: Vec<_> = [config.clone()].into_iter().chain(reloads.iter().cloned()).collect();
        check_ids(case, &all, &mut suite.report);
        out.push(Ready { config, reloads });
    }
    suite.report.sort();
    note(&Arc::new(suite.report.clone()));
    out
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
