//! The command line: its own words, and the collector's.

mod tests_of_configs;

use std::ffi::OsString;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use pipeline::config::Inputs;

use crate::builtin;
use tests_of_configs::{record, record_options, replay, replay_options, test, test_options};

/// What a command line asks for.
pub enum Task {
    /// Run until stopped.
    Run(Inputs),
    /// Check the config.
    Validate(Inputs),
    /// Print the config as it counts.
    PrintConfig {
        /// Which config.
        inputs: Inputs,
        /// Whether secrets are shown.
        unredacted: bool,
        /// JSON instead of YAML.
        json: bool,
    },
    /// List the components.
    Components,
    /// Ask a running process why something is missing.
    WhyMissing {
        /// Where its own metrics are.
        url: String,
        /// What is missing.
        wanted: String,
        /// The answer as it comes.
        json: bool,
    },
    /// Run tests of configs.
    Test(runner::Options),
    /// Record what enters a running config.
    Record(runner::RecordOptions),
    /// Feed a recording to a running config.
    Replay(runner::ReplayOptions),
}

const EXIT_CODES: &str = "\
Exit codes:
  0  stopped as asked, with everything delivered or stored; or the config is valid
  1  something failed while running, or data were lost at the stop
  2  the command line or the config is wrong

A config is a path, file:PATH, env:NAME, yaml:TEXT or builtin:NAME; later ones lie over earlier ones.
Start with: slipring run --config builtin:quickstart";

/// What says which config: before the command's word and behind it.
fn sources() -> [Arg; 3] {
    let repeated =
        |name: &'static str, value: &'static str| Arg::new(name).long(name).value_name(value).action(ArgAction::Append);
    [
        repeated("config", "CONFIG")
            .help("A config: path, file:PATH, env:NAME, yaml:TEXT or builtin:NAME; may be repeated"),
        repeated("set", "KEY=VALUE")
            .help("One setting, laid over all configs, such as processors.batch.timeout=2s; may be repeated"),
        repeated("feature-gates", "GATES").help("Taken for the collector's sake; there are no gates here"),
    ]
}

fn command() -> Command {
    let mode = Arg::new("mode")
        .long("mode")
        .value_parser(PossibleValuesParser::new(["redacted", "unredacted"]))
        .default_value("redacted")
        .help("Whether secrets are masked");
    let format = Arg::new("format")
        .long("format")
        .value_parser(PossibleValuesParser::new(["yaml", "json"]))
        .default_value("yaml")
        .help("The language to print");
    Command::new("slipring")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A telemetry collector for LLM inference fleets, wired by the OpenTelemetry Collector's own YAML")
        .after_help(EXIT_CODES)
        .args(sources())
        .subcommand(
            Command::new("run").about("Runs until SIGTERM or SIGINT (also without the word run)").args(sources()),
        )
        .subcommand(
            Command::new("validate")
                .about("Checks the config and shows everything that is wrong with it")
                .args(sources()),
        )
        .subcommand(
            Command::new("print-config")
                .about("Prints the config, merged and expanded")
                .args(sources())
                .args([mode, format]),
        )
        .subcommand(test())
        .subcommand(record())
        .subcommand(replay())
        .subcommand(Command::new("components").about("Lists the components of this binary"))
        .subcommand(why_missing())
}

fn why_missing() -> Command {
    let url = Arg::new("url")
        .long("url")
        .value_name("URL")
        .default_value("http://localhost:8888")
        .help("Where the process shows its own metrics");
    let json = Arg::new("json").long("json").action(ArgAction::SetTrue).help("The answer as JSON");
    let wanted = Arg::new("wanted")
        .value_name("WHAT")
        .required(true)
        .help("A trace id, a series selector such as 'up{job=\"a\"}', or a piece of a log line");
    Command::new("why-missing")
        .about("Asks a running process what became of a trace, a series or a log line")
        .args([url, json, wanted])
}

/// Reads a command line, the program's name first.
///
/// # Errors
/// What to print instead: the help or the version that was asked for, or what is wrong.
pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Task, clap::Error> {
    let matches = command().try_get_matches_from(arguments)?;
    let (name, inner) = matches.subcommand().unwrap_or(("run", &matches));
    match name {
        "components" => return Ok(Task::Components),
        "test" => return Ok(Task::Test(test_options(inner))),
        "replay" => return Ok(Task::Replay(replay_options(inner))),
        _ => {}
    }
    if name == "why-missing" {
        let of = |name: &str| inner.get_one::<String>(name).cloned().unwrap_or_default();
        return Ok(Task::WhyMissing { url: of("url"), wanted: of("wanted"), json: inner.get_flag("json") });
    }
    let inputs = inputs(&matches, matches.subcommand().map(|(_, inner)| inner));
    if inputs.configs.is_empty() {
        let message = "no config is given\n\nTo see it work: slipring run --config builtin:quickstart\n";
        return Err(command().error(clap::error::ErrorKind::MissingRequiredArgument, message));
    }
    if [&matches, inner].into_iter().any(|m| m.get_many::<String>("feature-gates").is_some()) {
        eprintln!("note: --feature-gates is taken without effect; there are no gates here");
    }
    let one = |name: &str| inner.get_one::<String>(name).map(String::as_str);
    Ok(match name {
        "record" => Task::Record(record_options(inputs, inner)),
        "validate" => Task::Validate(inputs),
        "print-config" => Task::PrintConfig {
            inputs,
            unredacted: one("mode") == Some("unredacted"),
            json: one("format") == Some("json"),
        },
        _ => Task::Run(inputs),
    })
}

/// Everything that was given, what stands before the command's word first.
fn inputs(before: &ArgMatches, behind: Option<&ArgMatches>) -> Inputs {
    let all = |name: &str| {
        let given =
            |matches: &ArgMatches| matches.get_many::<String>(name).unwrap_or_default().cloned().collect::<Vec<_>>();
        [given(before), behind.map(given).unwrap_or_default()].concat()
    };
    Inputs { configs: all("config"), sets: all("set"), builtin: builtin::CONFIGS }
}
