//! Slipring as a library: the components of the binary, and the command line over any set of components. A custom build
//! is a `main` that adds its own to the registry:
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     let mut registry = slipring::components();
//!     // registry.processor::<my_processor::Factory>();
//!     slipring::run(&registry, std::env::args_os())
//! }
//! ```

mod arguments;
mod ask;
mod builtin;
mod catalogue;
mod config;
mod explain;
mod list;
mod pages;
mod plan;
mod process;
mod reload;
mod schema;
mod seal;
mod shared;
mod watch;
mod why_missing;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use pipeline::Registry;
use pipeline::config::report::{self, Diagnostic, Report, Rule, Style};
use pipeline::config::{ComponentId, Format, Inputs, Loaded, Redact, Surroundings, load, print, print_with_origins};
use pipeline::doors::Doors;
use pipeline::graph::Failure;

use arguments::{Findings, Task, With};
use config::Config;

/// Something failed while running, or data were lost at the stop.
const FAILED: u8 = 1;
/// The command line or the config is wrong.
const WRONG: u8 = 2;

/// With `plan --detailed-exitcode`: a reload would change something.
const CHANGES: u8 = 2;

/// The components of the binary `slipring`.
pub fn components() -> Registry {
    let mut registry = Registry::new();
    receivers::register(&mut registry);
    processors::register(&mut registry);
    exporters::register(&mut registry);
    extensions::register(&mut registry);
    registry.shared(shared::TYPES);
    registry
}

/// Does what a command line asks for, its program's name first, and answers the exit code: 0 when all went well, 1 when
/// something failed while running or data were lost at the stop, 2 when the command line or the config is wrong.
pub fn run(registry: &Registry, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let task = match arguments::read(arguments) {
        Ok(task) => task,
        Err(answer) => {
            let _ = answer.print();
            return if answer.use_stderr() { ExitCode::from(WRONG) } else { ExitCode::SUCCESS };
        }
    };
    match task {
        Task::Test(options) => runner::test(registry, &options),
        Task::Record(options) => runner::record(registry, &options),
        Task::Replay(options) => runner::replay(registry, &options),
        Task::Components => say(&list::components(registry)),
        Task::WhyMissing { url, wanted, json } => match why_missing::ask(&url, &wanted, json) {
            Ok(answer) => say(&answer),
            Err(error) => {
                let _ = writeln!(io::stderr(), "error: {error}");
                ExitCode::from(FAILED)
            }
        },
        Task::Schema => say(&schema::schema(registry)),
        Task::Explain(question) => match explain::explain(registry, question.as_deref()) {
            Ok(answer) => say(&answer),
            Err(message) => {
                let _ = write!(io::stderr(), "error: {message}");
                ExitCode::from(WRONG)
            }
        },
        Task::Completions(shell) => say(&pages::completions(shell)),
        Task::Man(None) => say(&pages::manual()),
        Task::Man(Some(folder)) => match pages::write_manuals(&folder) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let _ = writeln!(io::stderr(), "error: cannot write into {}: {error}", folder.display());
                ExitCode::from(FAILED)
            }
        },
        Task::PrintConfig { inputs, unredacted, json, origin } => {
            let loaded = read_config(&inputs, registry);
            show(&loaded.report, Findings::Text);
            if loaded.plan.is_none() {
                return ExitCode::from(WRONG);
            }
            let format = if json { Format::Json } else { Format::Yaml };
            let redact = if unredacted { Redact::Nothing } else { Redact::Secrets(&loaded.secrets) };
            match origin {
                true => say(&print_with_origins(&loaded.tree, redact, &loaded.report)),
                false => say(&print(&loaded.tree, format, redact)),
            }
        }
        Task::Validate(inputs, findings) => {
            let mut loaded = read_config(&inputs, registry);
            if let Err(code) = note_failures(&mut loaded) {
                return code;
            }
            show(&loaded.report, findings);
            if loaded.report.errors() == 0 { ExitCode::SUCCESS } else { ExitCode::from(WRONG) }
        }
        Task::Run(inputs, options, findings) => {
            let config = Config::new(&inputs, registry);
            let loaded = config.load();
            match loaded.plan {
                Some(_) => process::run(&config, loaded, options),
                None => {
                    show(&loaded.report, findings);
                    ExitCode::from(WRONG)
                }
            }
        }
        Task::Plan { inputs, with, detailed } => {
            let wrong = ExitCode::from(if detailed { FAILED } else { WRONG });
            let mut new = read_config(&inputs, registry);
            // What cannot be built would not be reloaded.
            if let Err(code) = note_failures(&mut new) {
                return code;
            }
            show(&new.report, Findings::Text);
            if new.plan.is_none() || new.report.errors() > 0 {
                return wrong;
            }
            let compared = match with {
                With::Running(url) => plan::running(url.as_deref(), &new),
                With::Config(inputs) => {
                    let old = read_config(&inputs, registry);
                    if old.plan.is_none() {
                        show(&old.report, Findings::Text);
                        return wrong;
                    }
                    plan::against(&old, &new)
                }
            };
            match compared {
                Ok(comparison) => {
                    let changes = detailed && !comparison.is_empty();
                    let said = say(&comparison.to_string());
                    if changes { ExitCode::from(CHANGES) } else { said }
                }
                Err(message) => {
                    let _ = writeln!(io::stderr(), "error: {message}");
                    ExitCode::from(FAILED)
                }
            }
        }
    }
}

fn read_config(inputs: &Inputs, registry: &Registry) -> Loaded {
    load(inputs, registry, &Surroundings::real(Doors::real().files))
}

/// Adds to a config's report what only building its components shows.
fn note_failures(loaded: &mut Loaded) -> Result<(), ExitCode> {
    let failures = loaded.plan.as_ref().map_or(Ok(Vec::new()), process::failures)?;
    for failure in &failures {
        let diagnostic = diagnostic(loaded, failure);
        loaded.report.push(diagnostic);
    }
    Ok(())
}

/// What a component that cannot be built says, at the place of its body.
fn diagnostic(loaded: &Loaded, failure: &Failure) -> Diagnostic {
    let section = loaded.tree.as_map().and_then(|root| root.value(&format!("{}s", failure.kind))?.as_map());
    let written = section.and_then(|section| {
        let is_it = |key: &str| ComponentId::parse(key).is_ok_and(|id| id == failure.id);
        section.entries().iter().find(|entry| is_it(&entry.key))
    });
    let message = format!("'{}s::{}': {}", failure.kind, failure.id, failure.message);
    Diagnostic::error(written.map(|entry| entry.at).unwrap_or_default(), message).rule(Rule::Build)
}

fn show(report: &Report, findings: Findings) {
    let text = match findings {
        Findings::Text => String::new(),
        Findings::Json => report::json(&[report]).to_string() + "\n",
        Findings::Sarif => report::sarif(&[report], env!("CARGO_PKG_VERSION")).to_string() + "\n",
    };
    if findings != Findings::Text {
        let _ = io::stdout().write_all(text.as_bytes());
        return;
    }
    let style = if io::stderr().is_terminal() { Style::Terminal } else { Style::Plain };
    let _ = io::stderr().write_all(report.render(style).as_bytes());
}

/// Prints an answer. A reader that has gone away is no failure of ours.
fn say(text: &str) -> ExitCode {
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// The README's Rust example, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use pipeline::registry::Entry;

    use super::*;

    fn check<B>(entries: &[Entry<B>]) {
        let mut seen = BTreeSet::new();
        for entry in entries {
            assert!(!entry.about.is_empty(), "{}", entry.name());
            for name in entry.types {
                assert!(seen.insert(*name), "{name} is registered twice");
            }
        }
    }

    #[test]
    fn every_type_name_belongs_to_one_component_of_its_kind() {
        let registry = components();
        check(registry.receivers());
        check(registry.processors());
        check(registry.exporters());
        check(registry.extensions());
    }
}
