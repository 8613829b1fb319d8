//! Records that go where one before them went become exactly what they become when each is read on its own.

use pipeline::buffers::Buffers;
use pipeline::config::testing::decode;
use pipeline::net::compress::{Coding, decompress};
use pipeline::otlp::WireError;
use pipeline::otlp::fields::{any_value, key_value, log_record, request, resource, resource_group, scope, scope_group};
use pipeline::otlp::write::{Scalar, Writer};
use pipeline::testing::{World, count};
use pipeline::{Batch, Known, Signal};
use proptest::prelude::*;
use prost::Message;

use super::logproto::PushRequest;
use super::otlp::TIME;
use crate::loki::Config;
use crate::loki::adjusted::Adjusted;
use crate::loki::convert::convert;
use crate::loki::newest::{Newest, key};

/// Fields of a record, as it can be written.
#[derive(Clone, Debug)]
enum Part {
    Time(u64),
    Observed(u64),
    Number(u64),
    Text(&'static str),
    Trace(Vec<u8>),
    Span(Vec<u8>),
    Flags(u32),
    Attribute(&'static str, &'static str),
    Event(&'static str),
    Unknown,
    Body(String),
    BodyBytes(Vec<u8>),
    BodyNumber(i64),
    NoBody,
    /// A body that has two texts.
    TwoBodies(&'static str),
    Junk(Vec<u8>),
}

impl Part {
    fn write(&self, w: &mut Writer) {
        match self {
            Part::Time(time) => w.fixed64(log_record::TIME, *time),
            Part::Observed(time) => w.fixed64(log_record::OBSERVED_TIME, *time),
            Part::Number(number) => w.varint(log_record::SEVERITY_NUMBER, *number),
            Part::Text(text) => w.text(log_record::SEVERITY_TEXT, text),
            Part::Trace(id) => w.bytes(log_record::TRACE_ID, id),
            Part::Span(id) => w.bytes(log_record::SPAN_ID, id),
            Part::Flags(flags) => w.fixed32(log_record::FLAGS, *flags),
            Part::Attribute(key, value) => w.attribute(log_record::ATTRIBUTES, key, Scalar::Text(value)),
            Part::Event(name) => w.text(log_record::EVENT_NAME, name),
            Part::Unknown => w.varint(99, 1),
            Part::Body(text) => w.any_value(log_record::BODY, Scalar::Text(text)),
            Part::BodyBytes(bytes) => w.message(log_record::BODY, |w| w.bytes(any_value::STRING, bytes)),
            Part::BodyNumber(number) => w.any_value(log_record::BODY, Scalar::Int(*number)),
            Part::NoBody => w.message(log_record::BODY, |_| {}),
            Part::TwoBodies(text) => w.message(log_record::BODY, |w| {
                w.text(any_value::STRING, "first");
                w.text(any_value::STRING, text);
            }),
            Part::Junk(bytes) => w.raw(bytes),
        }
    }
}

/// One that nearly every record has, and others in its place.
fn mostly(usual: Part, others: impl Strategy<Value = Vec<Part>> + 'static) -> BoxedStrategy<Vec<Part>> {
    prop_oneof![6 => Just(vec![usual]), 1 => Just(Vec::new()), 1 => others].boxed()
}

fn time() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => (0..50u64).prop_map(|after| TIME + after),
        1 => Just(0),
        1 => Just(TIME - (2 << 42)),
        1 => any::<u64>().prop_map(|time| time >> 1),
    ]
}

fn id(len: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![12 => prop::collection::vec(any::<u8>(), len), 1 => Just(vec![0; len]), 1 => Just(Vec::new())]
}

fn body() -> impl Strategy<Value = Part> {
    prop_oneof![
        8 => "[a-zü]{0,40}".prop_map(Part::Body),
        1 => "[a-z]{126,132}|[a-z]{70,80}".prop_map(Part::Body),
        1 => Just(Part::Body("y".repeat(16_500))),
        1 => any::<i64>().prop_map(Part::BodyNumber),
        1 => Just(Part::NoBody),
        1 => Just(Part::TwoBodies("second")),
    ]
}

/// What stands in a record out of order: again, elsewhere, or of another kind.
fn odd() -> impl Strategy<Value = Vec<Part>> {
    let part = prop_oneof![
        time().prop_map(Part::Time),
        time().prop_map(Part::Observed),
        (0..30u64).prop_map(Part::Number),
        Just(Part::Number(u64::MAX)),
        id(16).prop_map(Part::Trace),
        id(8).prop_map(Part::Span),
        any::<u32>().prop_map(Part::Flags),
        Just(Part::Text("WARN")),
        Just(Part::Attribute("level", "own")),
        Just(Part::Attribute("trace_id", "own")),
        Just(Part::Attribute("loki.format", "logfmt")),
        Just(Part::Attribute("loki.tenant", "team")),
        Just(Part::Event("event")),
        Just(Part::Unknown),
        body(),
    ];
    prop::collection::vec(part, 1..3)
}

/// A record in the order in which most are written, more or less; without what stands behind its body.
fn record() -> impl Strategy<Value = Vec<Part>> {
    let parts = (
        time().prop_map(|time| vec![Part::Time(time)]),
        prop_oneof![6 => time().prop_map(|time| vec![Part::Observed(time)]), 1 => odd()],
        mostly(Part::Number(9), odd()),
        mostly(Part::Text("INFO"), odd()),
        prop_oneof![6 => id(16).prop_map(|id| vec![Part::Trace(id)]), 3 => Just(Vec::new()), 1 => odd()],
        prop_oneof![6 => id(8).prop_map(|id| vec![Part::Span(id)]), 3 => Just(Vec::new()), 1 => odd()],
        mostly(Part::Flags(1), odd()),
        mostly(Part::Attribute("log.file.name", "a.log"), odd()),
        body().prop_map(|body| vec![body]),
    );
    parts.prop_map(|(a, b, c, d, e, f, g, h, i)| [a, b, c, d, e, f, g, h, i].concat())
}

/// Malformed in some way, rarely.
fn spoiled() -> impl Strategy<Value = Vec<Part>> {
    let junk = prop_oneof![
        Just(Part::Trace(vec![1; 15])),
        Just(Part::Span(vec![1; 9])),
        Just(Part::BodyBytes(vec![b'a', 0xff])),
        Just(Part::Junk(vec![0x2a, 0x80])),
        Just(Part::Junk(vec![0x08, 0x01])),
        Just(Part::Junk(vec![0x00])),
    ];
    (record(), any::<prop::sample::Index>(), junk).prop_map(|(mut record, at, junk)| {
        let at = at.index(record.len());
        record[at] = junk;
        record
    })
}

/// The records in one scope, or each in one of its own, behind which nothing is remembered.
fn batch(records: &[Vec<Part>], alone: bool, known: Known) -> Batch {
    let mut w = Writer::new();
    w.message(request::RESOURCES, |w| {
        w.message(resource_group::RESOURCE, |w| {
            w.attribute(resource::ATTRIBUTES, "service.name", Scalar::Text("s"));
            w.attribute(resource::ATTRIBUTES, "host", Scalar::Text("h"));
        });
        for records in records.chunks(if alone { 1 } else { usize::MAX }) {
            w.message(resource_group::SCOPES, |w| {
                w.message(scope_group::SCOPE, |w| w.text(scope::NAME, "scope"));
                for record in records {
                    w.message(scope_group::ITEMS, |w| {
                        record.iter().for_each(|part| part.write(w));
                        // What the body is said to show. Nobody looks, and nothing of it comes out.
                        w.message(log_record::ATTRIBUTES, |w| w.text(key_value::KEY, "shown"));
                    });
                }
            });
        }
    });
    Batch::counted(Signal::Logs, w.into_bytes(), records.len()).with_known(known)
}

type Outcome = Result<(Vec<String>, Vec<(&'static str, usize)>, Vec<u64>), WireError>;

fn outcome(yaml: &str, batch: &Batch) -> Outcome {
    let world = World::new();
    let config: Config = decode(&format!("endpoint: http://loki\n{yaml}")).unwrap();
    let adjusted = Adjusted::new(&world.context("loki"));
    let newest = Newest::default();
    let stream = r#"{exporter="OTLP", job="s", level="INFO", service_name="s"}"#;
    newest.sent([(key("", stream), TIME + 50)].into_iter(), TIME + 50);
    let (streams, dropped) = convert(&config, &adjusted, batch, TIME + 99, &newest.times(), Vec::new())?;
    let (mut lines, mut from) = (Vec::new(), 0);
    while let Some(push) = streams.cut(from, usize::MAX, 2000, &Buffers::default()) {
        let body = decompress(Coding::Snappy, &push.request.body.unwrap(), 1 << 20).unwrap();
        assert_eq!(body.len(), push.request.bytes);
        lines.push(format!("{} {} {:?}", push.entries, push.items, push.request.streams));
        lines.extend(PushRequest::decode(&*body).unwrap().lines());
        from += push.entries;
    }
    let whats = ["label_moved", "metadata_dropped", "line_split", "line_cut", "time_missing", "backfilled"];
    let adjusted =
        whats.map(|what| count(&world.meter, "slipring_loki_adjusted_total", &[("exporter", "loki"), ("what", what)]));
    let dropped = dropped.into_counts().into_iter().map(|(reason, items)| (reason.code, items)).collect();
    Ok((lines, dropped, adjusted.to_vec()))
}

proptest! {
    #[test]
    fn records_become_what_each_becomes_on_its_own(
        records in prop::collection::vec(prop_oneof![60 => record(), 1 => spoiled()], 0..24),
        settings in 0..5usize,
        texts: bool,
        scopes_first: bool,
    ) {
        let yaml = ["", "preset: dynamo", "max_line_bytes: 64", "structured_metadata: all", "unique_timestamps: true"];
        let is_text = |part: &Part| !matches!(part, Part::BodyBytes(_));
        let texts = texts && records.iter().flatten().all(is_text);
        let known = Known { texts, scopes_first, shown_last: true };
        let together = outcome(yaml[settings], &batch(&records, false, known));
        prop_assert_eq!(together, outcome(yaml[settings], &batch(&records, true, known)));
    }
}

#[test]
fn a_record_like_another_is_not_read_behind_what_they_have_in_common() {
    let record = |after: u64, id: u8, body: &str, facts: &'static str| {
        let (time, observed) = (Part::Time(TIME + after), Part::Observed(TIME));
        let (number, text) = (Part::Number(9), Part::Text("INFO"));
        let ids = [Part::Trace(vec![id; 16]), Part::Span(vec![id; 8])];
        let body = [Part::Attribute("file", facts), Part::Body(body.to_owned())];
        [vec![time, observed, number, text], ids.to_vec(), body.to_vec()].concat()
    };
    let records =
        [record(1, 1, "one", "a"), record(2, 2, "two", "a"), record(3, 3, "three", "b"), record(4, 4, "", "a")];
    let known = Known { texts: true, scopes_first: true, shown_last: true };
    let (lines, ..) = outcome("", &batch(&records, false, known)).unwrap();
    let entry = |after: u64, body: &str, file: &str| {
        let ids =
            format!("trace_id={} span_id={}", format!("{after:02x}").repeat(16), format!("{after:02x}").repeat(8));
        format!("  {after} {body:?} {ids} severity_number=9 severity_text=INFO file={file} scope_name=scope host=h")
    };
    let want = [entry(1, "one", "a"), entry(2, "two", "a"), entry(3, "three", "b"), entry(4, "", "a")];
    assert_eq!(lines[2..], want);
}
