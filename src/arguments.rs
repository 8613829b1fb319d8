//! The command line: its own words, and the collector's.

mod tests_of_configs;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use clap_complete::Shell;
use pipeline::config::Inputs;

use crate::builtin;
use crate::process::Options;
use tests_of_configs::{record, record_options, replay, replay_options, test, test_options};

/// What a command line asks for.
pub enum Task {
    /// Run until stopped.
    Run(Inputs, Options, Findings),
    /// Say what a reload would change.
    Plan {
        /// The config that would be loaded.
        inputs: Inputs,
        /// What it is compared with.
        with: With,
        /// Whether the exit code says that there are changes.
        detailed: bool,
    },
    /// Check the config.
    Validate(Inputs, Findings),
    /// Print the config as it counts.
    PrintConfig {
        /// Which config.
        inputs: Inputs,
        /// Whether secrets are shown.
        unredacted: bool,
        /// JSON instead of YAML.
        json: bool,
        /// Where each value comes from stands behind it.
        origin: bool,
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
    /// Print the JSON Schema of a config.
    Schema,
    /// Say what a component or a key is.
    Explain(Option<String>),
    /// Print what completes this command line in a shell.
    Completions(Shell),
    /// Print the manual page, or write one for each command into a folder.
    Man(Option<PathBuf>),
}

/// How what is wrong with a config is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Findings {
    /// On standard error, for people.
    #[default]
    Text,
    /// On standard output, for editors.
    Json,
    /// On standard output, for what shows findings beside code.
    Sarif,
}

/// What a config is compared with.
pub enum With {
    /// The one that runs in the process at this address, or where the config says that own metrics are.
    Running(Option<String>),
    /// Another one.
    Config(Inputs),
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

const PLAN_EXIT_CODES: &str = "\
Exit codes:
  0  it was compared
  1  the process does not answer
  2  the command line or the config is wrong

Exit codes with --detailed-exitcode:
  0  a reload would change nothing
  1  something is wrong, be it the config
  2  a reload would change something";

/// How `run` takes on another config, beside SIGHUP.
fn reloading() -> [Arg; 2] {
    [
        flag("watch", "Reads the config anew when a file that it is made of changes"),
        flag("web.enable-lifecycle", "Reads the config anew on POST /-/reload at the own-metrics address"),
    ]
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

/// How problems of the config are told.
fn findings() -> Arg {
    Arg::new("format")
        .long("format")
        .value_parser(PossibleValuesParser::new(["text", "json", "sarif"]))
        .default_value("text")
        .help("How problems of the config are told: text on standard error, JSON or SARIF on standard output")
}

/// The whole command line.
pub fn command() -> Command {
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
    let origin = Arg::new("origin")
        .long("origin")
        .action(ArgAction::SetTrue)
        .help("Say behind each value where it was written, or by which variable, file or --set it came (in YAML)");
    Command::new("slipring")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A telemetry collector for LLM inference fleets, wired by the OpenTelemetry Collector's own YAML")
        .after_help(EXIT_CODES)
        .args(sources())
        .args(reloading())
        .subcommand(
            Command::new("run")
                .about("Runs until SIGTERM or SIGINT (also without the word run); SIGHUP reads the config anew")
                .args(sources())
                .args(reloading())
                .arg(findings()),
        )
        .subcommand(
            Command::new("plan")
                .about("Says what a reload would change")
                .after_help(PLAN_EXIT_CODES)
                .args(sources())
                .args([
                    Arg::new("running").long("running").value_name("URL").help(
                        "The own metrics of the process to compare with; where the config says, if nothing is given",
                    ),
                    Arg::new("against")
                        .long("against")
                        .value_name("CONFIG")
                        .action(ArgAction::Append)
                        .conflicts_with("running")
                        .help("A config to compare with, instead of a process; may be repeated"),
                    flag("detailed-exitcode", "Exit code 2 says that there are changes, 1 that something is wrong"),
                ]),
        )
        .subcommand(
            Command::new("validate")
                .about("Checks the config and shows everything that is wrong with it")
                .args(sources())
                .arg(findings()),
        )
        .subcommand(
            Command::new("print-config")
                .about("Prints the config, merged and expanded")
                .args(sources())
                .args([mode, format, origin]),
        )
        .subcommand(test())
        .subcommand(record())
        .subcommand(replay())
        .subcommand(Command::new("components").about("Lists the components of this binary"))
        .subcommand(
            Command::new("explain")
                .about("Says what a component or a key of it is, with default and example")
                .arg(Arg::new("what").value_name("COMPONENT[.KEY…]").help("Such as otlp, or exporters.loki.labels")),
        )
        .subcommand(Command::new("schema").about("Prints the JSON Schema of a config, for editors"))
        .subcommand(
            Command::new("completions")
                .about("Prints what completes this command line in a shell")
                .arg(Arg::new("shell").required(true).value_parser(value_parser!(Shell)).help("The shell")),
        )
        .subcommand(
            Command::new("man").about("Prints the manual page").arg(
                Arg::new("out")
                    .long("out")
                    .value_name("DIR")
                    .value_parser(value_parser!(PathBuf))
                    .help("Write slipring.1 and a page for each command into this folder"),
            ),
        )
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
        "schema" => return Ok(Task::Schema),
        "explain" => return Ok(Task::Explain(inner.get_one::<String>("what").cloned())),
        "completions" => return Ok(Task::Completions(inner.get_one("shell").copied().unwrap_or(Shell::Bash))),
        "man" => return Ok(Task::Man(inner.get_one("out").cloned())),
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
    let one = |name: &str| inner.try_get_one::<String>(name).ok().flatten().map(String::as_str);
    let findings = match one("format") {
        Some("json") => Findings::Json,
        Some("sarif") => Findings::Sarif,
        _ => Findings::Text,
    };
    Ok(match name {
        "record" => Task::Record(record_options(inputs, inner)),
        "validate" => Task::Validate(inputs, findings),
        "print-config" => Task::PrintConfig {
            inputs,
            unredacted: one("mode") == Some("unredacted"),
            json: one("format") == Some("json"),
            origin: inner.get_flag("origin"),
        },
        "plan" => {
            let against: Vec<_> = inner.get_many::<String>("against").unwrap_or_default().cloned().collect();
            let with = match against.is_empty() {
                true => With::Running(inner.get_one("running").cloned()),
                false => With::Config(Inputs { configs: against, sets: Vec::new(), ..inputs.clone() }),
            };
            Task::Plan { inputs, with, detailed: inner.get_flag("detailed-exitcode") }
        }
        _ => {
            let given = |name: &str| [&matches, inner].into_iter().any(|m| m.get_flag(name));
            Task::Run(inputs, Options { watch: given("watch"), lifecycle: given("web.enable-lifecycle") }, findings)
        }
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
