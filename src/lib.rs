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
mod builtin;
mod list;
mod process;
mod why_missing;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use pipeline::Registry;
use pipeline::config::report::{Report, Style};
use pipeline::config::{Format, Inputs, Loaded, Redact, Surroundings, load, print};
use pipeline::doors::Doors;

use arguments::Task;

/// Something failed while running, or data were lost at the stop.
const FAILED: u8 = 1;
/// The command line or the config is wrong.
const WRONG: u8 = 2;

/// The components of the binary `slipring`.
pub fn components() -> Registry {
    let mut registry = Registry::new();
    receivers::register(&mut registry);
    processors::register(&mut registry);
    exporters::register(&mut registry);
    extensions::register(&mut registry);
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
        Task::PrintConfig { inputs, unredacted, json } => {
            let loaded = read_config(&inputs, registry);
            show(&loaded.report);
            if loaded.plan.is_none() {
                return ExitCode::from(WRONG);
            }
            let format = if json { Format::Json } else { Format::Yaml };
            let redact = if unredacted { Redact::Nothing } else { Redact::Secrets(&loaded.secrets) };
            say(&print(&loaded.tree, format, redact))
        }
        Task::Validate(inputs) => {
            let loaded = read_config(&inputs, registry);
            show(&loaded.report);
            loaded.plan.map_or(ExitCode::from(WRONG), |plan| process::validate(&plan))
        }
        Task::Run(inputs) => {
            let Loaded { plan, report, .. } = read_config(&inputs, registry);
            match plan {
                Some(plan) => process::run(&plan, &report),
                None => {
                    show(&report);
                    ExitCode::from(WRONG)
                }
            }
        }
    }
}

fn read_config(inputs: &Inputs, registry: &Registry) -> Loaded {
    load(inputs, registry, &Surroundings::real(Doors::real().files))
}

fn show(report: &Report) {
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
