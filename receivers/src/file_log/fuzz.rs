//! Entry points for fuzzing and property tests: any bytes through everything that looks into lines. They panic when what
//! comes out is not what it must be.

use pipeline::config::{Block, Tagged};
use pipeline::otlp::check;
use pipeline::{Batch, Signal};

use super::config::{Config, Encoding, Format, Oversize};
use super::format::record::Requests;
use super::lines::{Cutter, Piece};
use super::operators::config::{Common, FromTo, Json, Kind, OnError, Parser, Regex, Severity, Time, Trace};
use super::operators::{Operator, Steps};
use super::recorder::{Attributes, Line, Recorder, Source, Written};

/// Any bytes as a file: cut into lines, each made a record by every preset and by operators. The records must be OTLP, as
/// many as the recorder says, and no line may be lost.
pub fn file(bytes: &[u8]) {
    for config in configs() {
        let steps = Steps::build(&config.operators).expect("the operators are right");
        let recorder = Recorder::new(&config, steps);
        let cutter = Cutter {
            most: 100,
            oversize: Oversize::Split,
            at_newlines: Encoding::from_name(&config.encoding) != Some(Encoding::Nop),
        };
        let attributes = Attributes::new([("log.file.name".into(), "a.log".to_owned())]);
        let source = Source { attributes: &attributes, observed: 1 };
        let (mut requests, mut records, mut at, mut in_rest) = (Requests::default(), 0, 0, false);
        while at < bytes.len() {
            let Piece::Line { len, taken } = cutter.next(&bytes[at..], &mut in_rest, true) else {
                panic!("without an end there is a last line");
            };
            assert!(taken > 0 && taken - len <= 2, "cutting gets on, and takes line ends only");
            let line = Line { bytes: &bytes[at..at + len], number: 1, offset: at as u64 };
            let written = recorder.write(line, source, &mut requests, |_| {});
            assert_ne!(written, Written::Dropped, "nothing says that lines are dropped");
            records += usize::from(written == Written::Record);
            at += taken;
        }
        let batch = requests.take();
        assert_eq!(batch.items(), records);
        let read = Batch::new(Signal::Logs, batch.to_bytes()).expect("the records are OTLP");
        assert_eq!(read.items(), records);
        for part in batch.parts() {
            check::full(Signal::Logs, part).expect("the records are OTLP to the last field");
        }
    }
}

fn configs() -> Vec<Config> {
    let of = |format, encoding: &str| Config { format, encoding: encoding.to_owned(), ..Config::default() };
    let mut all = vec![
        of(None, "utf-8"),
        of(None, "utf-8-raw"),
        of(None, "nop"),
        of(Some(Format::DynamoJsonl), "utf-8"),
        of(Some(Format::Json), "utf-8"),
        of(None, "utf-8"),
    ];
    if let Some(last) = all.last_mut() {
        last.operators = operators();
    }
    all
}

fn operators() -> Vec<Operator> {
    let field = |text: &str| Some(text.parse().expect("it is a field"));
    let common = || Common { on_error: OnError::SendQuiet, ..Common::default() };
    let json = Json {
        common: common(),
        parser: Parser {
            timestamp: Block::on(Time {
                parse_from: field("attributes.time"),
                layout: "%Y-%m-%dT%H:%M:%S.%f%z".to_owned(),
                ..Time::default()
            }),
            severity: Block::on(Severity { parse_from: field("attributes.level"), ..Severity::default() }),
            trace: Block::on(Trace::default()),
            ..Parser::default()
        },
        parse_ints: true,
    };
    let words = Regex { common: common(), regex: r"^(?P<first>\S+)\s+(?P<rest>.*)$".to_owned(), ..Regex::default() };
    let to_resource = FromTo { common: common(), from: field("attributes.first"), to: field("resource.first") };
    let to_body = FromTo { common: common(), from: field("attributes.message"), to: field("body.message") };
    [Kind::JsonParser(json), Kind::RegexParser(words), Kind::Copy(to_resource), Kind::Move(to_body)].map(Tagged).into()
}
