//! The words of `slipring test`, `record` and `replay`.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use pipeline::config::{GoDuration, Inputs};

use super::sources;
use crate::builtin;

pub(super) fn test() -> Command {
    let files =
        Arg::new("files").value_name("FILE").num_args(1..).required(true).help("Test files, such as a.test.yaml");
    let filter = Arg::new("filter").long("filter").value_name("TEXT").help("Only tests whose name contains this");
    let format = Arg::new("format")
        .long("format")
        .value_parser(PossibleValuesParser::new(["text", "junit", "json", "sarif"]))
        .default_value("text")
        .help("How results are written");
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    let update =
        flag("update", "Write what came as what is expected, where `equals` does not hold or nothing is expected");
    let watch = flag("watch", "Run again whenever a test file or a config changes");
    let coverage = flag("coverage", "Say which components and rules of the configs no test would miss");
    let least = Arg::new("coverage-threshold")
        .long("coverage-threshold")
        .value_name("PERCENT")
        .value_parser(clap::value_parser!(f64))
        .help("Fail below this coverage");
    Command::new("test")
        .about("Runs tests of configs: simulated inputs through the real components, without a network")
        .args([files, filter, format, update, watch, coverage, least])
}

pub(super) fn record() -> Command {
    let time = Arg::new("for")
        .long("for")
        .value_name("TIME")
        .value_parser(|text: &str| GoDuration::parse(text).map(GoDuration::get))
        .default_value("30s")
        .help("How long to record");
    let out = Arg::new("out").long("out").value_name("DIR").required(true).help("Where the test is written");
    let redact =
        Arg::new("redact").long("redact").action(ArgAction::SetTrue).help("Mask what looks secret or personal");
    Command::new("record")
        .about("Runs a config, records what enters its receivers, and writes a test of it")
        .args(sources())
        .args([time, out, redact])
}

pub(super) fn record_options(inputs: Inputs, matches: &ArgMatches) -> runner::RecordOptions {
    let time = matches.get_one::<Duration>("for").copied().unwrap_or_default();
    let out = matches.get_one::<String>("out").map(PathBuf::from).unwrap_or_default();
    runner::RecordOptions { inputs, time, out, redact: matches.get_flag("redact") }
}

pub(super) fn replay() -> Command {
    let file = Arg::new("file").value_name("FILE").required(true).help("A recording, or any test file");
    let filter = Arg::new("filter").long("filter").value_name("TEXT").help("Only tests whose name contains this");
    let speed = Arg::new("speed")
        .long("speed")
        .value_name("FACTOR")
        .value_parser(|text: &str| match text.parse::<f64>() {
            Ok(speed) if speed > 0.0 && speed.is_finite() => Ok(speed),
            _ => Err("a number above 0, such as 10"),
        })
        .default_value("1")
        .help("How many times as fast as it was");
    let root = Arg::new("root").long("root").value_name("DIR").help("Write lines to files below this folder");
    Command::new("replay")
        .about("Feeds the inputs of a recording to a config that is running")
        .args([file, filter, speed, root])
}

pub(super) fn replay_options(matches: &ArgMatches) -> runner::ReplayOptions {
    let one = |name: &str| matches.get_one::<String>(name).cloned();
    runner::ReplayOptions {
        file: one("file").map(PathBuf::from).unwrap_or_default(),
        filter: one("filter"),
        speed: matches.get_one("speed").copied().unwrap_or(1.0),
        root: one("root").map(PathBuf::from),
        builtin: builtin::CONFIGS,
    }
}

/// What `slipring test` is to do.
pub(super) fn test_options(matches: &ArgMatches) -> runner::Options {
    let one = |name: &str| matches.get_one::<String>(name);
    let format = match one("format").map(String::as_str) {
        Some("junit") => runner::Format::Junit,
        Some("json") => runner::Format::Json,
        Some("sarif") => runner::Format::Sarif,
        _ => runner::Format::Text,
    };
    let files = matches.get_many::<String>("files").unwrap_or_default().map(PathBuf::from).collect();
    runner::Options {
        files,
        filter: one("filter").cloned(),
        format,
        update: matches.get_flag("update"),
        coverage: matches.get_flag("coverage"),
        least_coverage: matches.get_one("coverage-threshold").copied(),
        watch: matches.get_flag("watch"),
        builtin: builtin::CONFIGS,
    }
}
