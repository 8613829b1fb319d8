//! Entry points for fuzzing and property tests: any bytes through everything that looks into lines. They panic when what
//! comes out is not what it must be.

use pipeline::config::{Block, Tagged};
use pipeline::otlp::check;
use pipeline::{Batch, Signal};
use tokio::time::Instant;

use super::config::{Format, IncludeFile, Lines, Multiline, Oversize};
use super::encoding::Encoding;
use super::facts::Facts;
use super::format::record::Requests;
use super::lines::{Cutter, Ends, Piece};
use super::operators::config::{Common, Container, FromTo, Json, Kind, OnError, Otelcol, Parser, Recombine, Regex};
use super::operators::config::{Severity, Time, Trace};
use super::operators::{Held, Operator, Steps};
use super::progress::Position;
use super::recorder::{Line, Recorder, Source};

/// Any bytes as a file: cut into lines, each made a record by every preset and by operators. The records must be OTLP, as
/// many as the recorder says, and no line may be lost.
pub fn file(bytes: &[u8]) {
    for config in configs() {
        let steps = Steps::build(&config.operators).expect("the operators are right");
        let recorder = Recorder::new(&config, IncludeFile::default(), steps, "fuzz");
        let encoding = Encoding::from_name(&config.encoding).expect("the encoding is known");
        let ends = Ends::new(config.multiline.as_ref(), encoding).expect("the patterns are right");
        let cutter = Cutter { most: 100, oversize: Oversize::Split, ends, encoding };
        let facts = Facts::new([("log.file.name".into(), "a.log".to_owned())]);
        let source = Source { facts: &facts, observed: 1, now: Instant::now() };
        let (mut requests, mut held, mut records) = (Requests::default(), Held::default(), 0);
        let (mut at, mut in_rest) = (0, false);
        let text = encoding.text_of(bytes);
        while at < bytes.len() {
            let Piece::Line { from, to, taken } = cutter.next(&bytes[at..], &mut in_rest, true) else {
                panic!("without an end there is a last line");
            };
            assert!(from <= to && to <= taken && taken > 0, "cutting gets on");
            assert!(config.multiline.is_some() || (from == 0 && taken - to <= 4), "cutting takes line ends only");
            let place = Position { offset: at as u64, ..Position::START };
            let text = text.and_then(|text| text.get(at + from..at + to));
            let line = Line { bytes: &bytes[at + from..at + to], text, place };
            let tally = recorder.write(line, source, &mut held, &mut requests, &mut |_| {}).unwrap_or_default();
            assert_eq!((tally.failed, tally.filtered), (0, 0), "nothing says that lines are dropped");
            records += tally.written;
            at += taken;
        }
        records += recorder.release(None, source, &mut held, &mut requests, &mut |_| {}).written;
        assert!(held.is_empty());
        let batch = requests.take();
        assert_eq!(batch.items(), records);
        let read = Batch::new(Signal::Logs, batch.to_bytes()).expect("the records are OTLP");
        assert_eq!(read.items(), records);
        for part in batch.parts() {
            check::full(Signal::Logs, part).expect("the records are OTLP to the last field");
        }
    }
}

fn configs() -> Vec<Lines> {
    let of = |format, encoding: &str| Lines { format, encoding: encoding.to_owned(), ..Lines::default() };
    let mut all = vec![
        of(None, "utf-8"),
        of(None, "utf-8-raw"),
        of(None, "nop"),
        of(Some(Format::DynamoJsonl), "utf-8"),
        of(Some(Format::Json), "utf-8"),
        of(Some(Format::Container), "utf-8"),
        of(Some(Format::DynamoTrace), "utf-8"),
        of(None, "utf-16le"),
        of(None, "big5"),
    ];
    let multiline = |start: &str| Multiline { line_start_pattern: start.to_owned(), ..Multiline::default() };
    all.push(Lines { multiline: Some(multiline("^\\{")), ..of(None, "utf-8") });
    all.push(Lines { multiline: Some(multiline("[a-m]")), ..of(None, "utf-16be") });
    all.push(Lines { operators: operators(), ..of(None, "utf-8") });
    all.push(Lines { operators: together(), ..of(None, "utf-8") });
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
    let own_log = Otelcol { common: common(), ..Otelcol::default() };
    let all = [
        Kind::JsonParser(json),
        Kind::RegexParser(words),
        Kind::Otelcol(own_log),
        Kind::Copy(to_resource),
        Kind::Move(to_body),
    ];
    all.map(Tagged).into()
}

/// Those that put lines together.
fn together() -> Vec<Operator> {
    let common = || Common { on_error: OnError::SendQuiet, ..Common::default() };
    let recombine = Recombine {
        common: common(),
        combine_field: Some("body".parse().expect("it is a field")),
        is_first_entry: r#"body startsWith "{" or attributes["log.iostream"] == "stderr""#.to_owned(),
        ..Recombine::default()
    };
    let container = Container { common: common(), ..Container::default() };
    [Kind::Container(container), Kind::Recombine(recombine)].map(Tagged).into()
}
