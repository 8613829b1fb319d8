//! The benchmark suite: a load generator and a null sink of our own around a release build of `slipring`, and timings of
//! the wire layer. Every number in the documentation names the command here that makes it.
//!
//! `cargo build --release && cargo run --release -p benches -- otlp --protocol grpc --validation envelope`

#![allow(clippy::disallowed_methods, reason = "a benchmark runs on real time and joins nothing")]

mod correlation;
mod exposition;
mod load;
mod logs;
mod nvml;
mod otlp;
mod payload;
mod process;
mod processors;
mod rehearse;
mod remote_write;
mod scrape;
mod sink;
mod snappy;
mod wire;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo run --release -p benches -- <scenario> [options]

  otlp     OTLP traces in, one resource attribute inserted, OTLP out, without compression
             --protocol grpc|http       (grpc)
             --validation full|envelope (full)
             --queue memory|disk        (memory)
             --seconds N                (10)
             --connections N            (2)
             --spans N                  spans a request (1000)
             --slipring PATH            (target/release/slipring)
  wire     the operations of the wire layer, in nanoseconds per item
             --only PART                those whose name contains it
  processors  the processors alone, in nanoseconds an item
             --milliseconds N           for each (500)
  remote-write  the remote write exporter alone, in nanoseconds a sample
             --milliseconds N           for each (1000)
             --only PART                those whose name contains it
  parse    reading a scraped body alone, in nanoseconds a sample
             --series N                 (10000)
             --milliseconds N           for each line (2000)
  scrape   targets scraped each second, remote write out
             --targets N                (20)
             --series N                 of each (10000)
             --seconds N                (30)
             --message TYPE             protobuf_message (prometheus.WriteRequest)
             --exporter NAME            what the scrape alone costs: debug (prometheus_remote_write)
             --slipring PATH            (target/release/slipring)
  logs     a file of JSON lines into Loki, protobuf in snappy
             --lines N                  (1000000)
             --read HOW                 a format of file_log, plain or operators (dynamo_jsonl)
             --values recorded|fresh    of the lines, the recorded ones or others each time around (recorded)
             --slipring PATH            (target/release/slipring)
  snappy   compressing pushes of log lines alone, in nanoseconds a line
             --milliseconds N           for each (1000)
  nvml     the nvml receiver alone on eight GPUs of the fake driver, CPU a pass and memory added
             --passes N                 (500)
  rehearse  slipring test with tests of configs/sidecar.yaml, each time in a new process
             --tests N                  in the file (100)
             --rounds N                 processes (7)
             --slipring PATH            (target/release/slipring)
  correlation  trace_correlation alone, in nanoseconds a log record looked up
             --milliseconds N           for each (500)
             --only PART                those whose name contains it
";

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let scenario = arguments.next().unwrap_or_default();
    let options = Options(arguments.collect());
    let result = match scenario.as_str() {
        "otlp" => otlp::run(&options),
        "wire" => {
            wire::run(options.text("only", ""));
            Ok(())
        }
        "processors" => processors::run(&options),
        "remote-write" => remote_write::run(&options),
        "parse" => scrape::parse(&options),
        "scrape" => scrape::run(&options),
        "logs" => logs::run(&options),
        "snappy" => snappy::run(&options),
        "nvml" => nvml::run(&options),
        "rehearse" => rehearse::run(&options),
        "correlation" => correlation::run(&options),
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

/// `--name value` pairs.
pub struct Options(Vec<String>);

impl Options {
    /// The value of `--name`, or `default`.
    pub fn text<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        let at = self.0.iter().position(|argument| argument == &format!("--{name}"));
        at.and_then(|at| self.0.get(at + 1)).map_or(default, String::as_str)
    }

    /// The value of `--name` as a number, or `default`.
    pub fn number(&self, name: &str, default: usize) -> usize {
        self.text(name, "").parse().unwrap_or(default)
    }
}
