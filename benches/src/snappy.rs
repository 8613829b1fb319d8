//! Compressing pushes of log lines on one thread, in nanoseconds a line: as a body of records, and as any text.
#![allow(clippy::print_stdout, reason = "it prints its results")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use pipeline::net::compress::snappy::compress;
use pipeline::net::compress::snappy::records::{ROOM, Records};
use pipeline::otlp::write::Writer;

use crate::{Options, logs};

/// Entries of a push to Loki, and where in each the line begins.
type Entries = Vec<(Vec<u8>, usize)>;

/// Runs all of them and prints a line for each.
pub fn run(options: &Options) -> Result<(), String> {
    let time = Duration::from_millis(options.number("milliseconds", 1000) as u64);
    let recorded = logs::recorded().map_err(|error| error.to_string())?;
    let mut lines: Vec<&str> = recorded.iter().flat_map(|text| text.lines()).collect();
    // As Loki's streams have them: by level, each in order of time, with which a line begins.
    lines.sort_by_key(|line| (!line.contains("\"INFO\""), line.get(..36)));
    report("Dynamo's lines", &entries(lines.iter().map(|line| (*line).to_owned())), time);
    let access = (0..4000u64).map(|i| {
        let id = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let [a, b, c, d, path, agent, ..] = id.to_be_bytes();
        let path = ["/v1/chat/completions", "/healthz", "/v1/models", "/static/app.js"][usize::from(path % 4)];
        let agent = ["curl/8.5.0", "python-requests/2.31", "Mozilla/5.0 (X11; Linux x86_64)"][usize::from(agent % 3)];
        let (minute, second) = (i / 60 % 60, i % 60);
        format!(
            "{a}.{b}.{c}.{d} - - [20/Nov/2026:15:{minute:02}:{second:02} +0000] \"GET {path}?id={i} HTTP/1.1\" 200 {} \"{agent}\"",
            id % 100_000
        )
    });
    report("an access log", &entries(access), time);
    Ok(())
}

fn entries(lines: impl Iterator<Item = String>) -> Entries {
    let entry = |(i, line): (u64, String)| {
        let mut inside = Writer::new();
        inside.message(1, |w| {
            w.varint(1, 1_795_188_686 + i / 100);
            w.varint(2, i * 7_919_003 % 1_000_000_000);
        });
        inside.text(2, &line);
        let shown = inside.len() - line.len();
        for id in ["trace_id", "span_id"] {
            let value = line.split_once(&format!("\"{id}\":\"")).and_then(|(_, rest)| rest.split('"').next());
            if let Some(value) = value {
                inside.message(3, |w| {
                    w.text(1, id);
                    w.text(2, value);
                });
            }
        }
        let mut whole = Writer::new();
        whole.bytes(2, inside.as_slice());
        let head = whole.len() - inside.len();
        (whole.into_vec(), head + shown)
    };
    (0..).zip(lines).map(entry).collect()
}

fn report(what: &str, entries: &Entries, time: Duration) {
    let body: Vec<u8> = entries.iter().flat_map(|(entry, _)| entry).copied().collect();
    let mut buffer = Vec::with_capacity(ROOM);
    let mut records = || {
        let mut out = Records::new(body.len(), std::mem::take(&mut buffer));
        for (entry, shown) in entries {
            let shown = out.writer().len() + shown;
            out.writer().raw(entry);
            out.end(shown);
        }
        let (packed, mut text) = out.finish();
        text.clear();
        buffer = text;
        packed.unwrap_or_default().len()
    };
    let (packed, records_ns) = fastest(&mut records, entries.len(), time);
    let (plain, plain_ns) = fastest(&mut || compress(&body).unwrap_or_default().len(), entries.len(), time);
    let per_line = |bytes: usize| bytes as f64 / entries.len() as f64;
    println!(
        "{what:<16} {:.0} bytes a line: {:.1} in {records_ns:.0} ns as records, {:.1} in {plain_ns:.0} ns as any text",
        per_line(body.len()),
        per_line(packed),
        per_line(plain),
    );
}

/// What it answers, and the least time that it takes, in nanoseconds a line.
fn fastest(compress: &mut dyn FnMut() -> usize, lines: usize, time: Duration) -> (usize, f64) {
    let (start, mut least, mut bytes) = (Instant::now(), Duration::MAX, 0);
    while start.elapsed() < time {
        let begin = Instant::now();
        bytes = black_box(compress());
        least = least.min(begin.elapsed());
    }
    (bytes, least.as_nanos() as f64 / lines as f64)
}
