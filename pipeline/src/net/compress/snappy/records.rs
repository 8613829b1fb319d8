//! Snappy's block format of a body that is made of records of which many are alike, such as log lines: written while it is
//! made, in less time than a compressor for any text takes, and about as many bytes. Where records turn out not to be alike, it
//! goes on as [`Blocks`] does.

use std::collections::VecDeque;
use std::io;

use super::alike::{self, AHEAD, Places, Record};
use super::tags::Tags;
use super::{BLOCK, Blocks};
use crate::net::compress::TOOLS;
use crate::otlp::write::Writer;

/// So much text is written at once, while it is in the processor's cache.
const PART: usize = 32 << 10;
/// Text that was written is kept, for copies to reach, until there is so much of it: it is to stay in the cache, too.
const KEPT: usize = 2 * BLOCK;
/// Records are alike where a part of their text becomes no longer than one in so many. The first ones, which have few
/// before them, may be longer.
const ALIKE: usize = 3;
/// Smaller bodies are not worth it.
const LEAST: usize = 2 * BLOCK;
/// Memory that is of use for the text: what is kept, what comes next, and a record of the usual size beyond.
pub const ROOM: usize = KEPT + PART + (16 << 10);

/// A body being written.
pub struct Records {
    blocks: io::Result<Blocks>,
    text: Writer,
    /// How much of the text is written.
    written: usize,
    /// Those that are whole and not written.
    whole: VecDeque<Record>,
    /// Until records turn out not to be alike.
    alike: Option<Alike>,
}

struct Alike {
    places: Box<Places>,
    /// Bytes of the body before the text.
    base: usize,
}

impl Records {
    /// For a body of so many bytes, in a buffer that is of use if it has [`ROOM`]. More than the format has, 4 GiB, is an
    /// error at the end.
    pub fn new(len: usize, buffer: Vec<u8>) -> Records {
        let alike = (len >= LEAST).then(|| {
            let mut places = TOOLS.with_borrow_mut(|tools| tools.places.take()).unwrap_or_default();
            places.forget();
            Alike { places, base: 0 }
        });
        Records { blocks: Blocks::new(len), text: Writer::onto(buffer), written: 0, whole: VecDeque::new(), alike }
    }

    /// What the body is written with, which may only grow.
    pub fn writer(&mut self) -> &mut Writer {
        &mut self.text
    }

    /// A record is whole, which begins behind the one before. What shows its kind begins where the writer had so many bytes.
    pub fn end(&mut self, shown: usize) {
        let end = self.text.len();
        if self.alike.is_some() {
            let mut start = self.whole.back().map_or(self.written, |last| last.end);
            while end - start > PART {
                self.whole.push_back(Record { shown: start, end: start + PART });
                start += PART;
            }
            self.whole.push_back(Record { shown: shown.clamp(start, end), end });
        }
        if end - self.written >= PART + AHEAD {
            self.write();
        }
    }

    /// The compressed body, and the buffer.
    ///
    /// # Errors
    /// When there is less or more than was announced.
    pub fn finish(mut self) -> (io::Result<Vec<u8>>, Vec<u8>) {
        self.end(self.text.len());
        self.text.raw(&[0; AHEAD]);
        self.write_alike();
        self.give_back();
        let mut text = self.text.into_vec();
        text.truncate(text.len() - AHEAD);
        (self.blocks.and_then(|blocks| blocks.finish(&text[self.written..])), text)
    }

    fn give_back(&mut self) {
        if let Some(Alike { places, .. }) = self.alike.take() {
            TOOLS.with_borrow_mut(|tools| tools.places = Some(places));
        }
    }

    /// Writes what can be written, and forgets what is of no use any more.
    fn write(&mut self) {
        self.write_alike();
        let mut text = std::mem::take(&mut self.text).into_vec();
        if let Some(Alike { base, .. }) = &mut self.alike {
            if self.written > KEPT {
                let gone = std::mem::take(&mut self.written);
                text.drain(..gone);
                *base += gone;
                self.whole.iter_mut().for_each(|record| *record = record.moved(gone));
            }
        } else {
            text.drain(..self.written);
            self.written = 0;
            self.keep(|blocks| blocks.take(&mut text));
        }
        self.text = Writer::onto(text);
    }

    /// Writes the whole records behind which enough stands, a few at a time.
    fn write_alike(&mut self) {
        let mut is_alike = true;
        while let Some(Alike { places, base }) = &mut self.alike {
            if !is_alike {
                return self.give_back();
            }
            let (text, from) = (self.text.as_slice(), self.written);
            let fits = |record: &&Record| record.end + AHEAD <= text.len() && record.end - from <= 2 * PART;
            let count = self.whole.iter().take_while(fits).count();
            let records = &self.whole.make_contiguous()[..count];
            let Some(Record { end, .. }) = records.last().copied() else { return };
            let added = TOOLS.with_borrow_mut(|tools| {
                let room = Tags::room(end - from);
                if tools.scratch.len() < room {
                    tools.scratch.resize(room, 0);
                }
                let mut tags = Tags::new(&mut tools.scratch);
                alike::write(places, *base, text, from, records, &mut tags);
                let len = tags.len();
                is_alike = *base + from < BLOCK || len * ALIKE <= end - from;
                self.blocks.as_mut().map_or(Ok(()), |blocks| blocks.add(&tools.scratch[..len], end - from))
            });
            self.written = end;
            self.whole.drain(..count);
            self.keep(|_| added);
        }
    }

    /// Keeps the first error.
    fn keep(&mut self, add: impl FnOnce(&mut Blocks) -> io::Result<()>) {
        if let Ok(blocks) = &mut self.blocks
            && let Err(error) = add(blocks)
        {
            self.blocks = Err(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::{Coding, decompress};
    use super::*;

    /// The records' texts as one body, with so many bytes before each that say nothing of its kind.
    fn compressed(records: &[Vec<u8>], before: usize) -> Vec<u8> {
        let mut out = Records::new(records.iter().map(Vec::len).sum(), Vec::new());
        for record in records {
            let shown = out.writer().len() + before.min(record.len());
            out.writer().raw(record);
            out.end(shown);
        }
        out.finish().0.unwrap()
    }

    fn comes_back(records: &[Vec<u8>], before: usize) -> usize {
        let packed = compressed(records, before);
        assert!(decompress(Coding::Snappy, &packed, 1 << 30) == Ok(records.concat()));
        packed.len()
    }

    /// A log line of one of a few statements, with values of any length.
    fn line(i: u64) -> Vec<u8> {
        let id = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let (statement, request) = (id >> 61, (i / 8).wrapping_mul(0x2545_f491_4f6c_dd1d));
        let tail = if id & 0x700 == 0 { format!(",\"x_request_id\":\"test-{}\"", id & 0xfff) } else { String::new() };
        format!(
            "\u{12}{}{{\"time\":\"2026-11-20T15:31:19.{:06}Z\",\"level\":\"INFO\",\"file\":\"/lib/runtime/src/{}.rs\",\
             \"line\":{},\"target\":\"{}\",\"message\":\"this is what number {statement} says of it\",\"busy_us\":{},\
             \"span_id\":\"{id:016x}\",\"trace_id\":\"{request:016x}{request:016x}\"{tail}}}",
            &"abcdefgh"[..usize::try_from(id % 8).unwrap()],
            i * 37 % 1_000_000,
            "logging_router_worker".split('_').nth(usize::try_from(statement % 3).unwrap()).unwrap(),
            statement * 191,
            "runtime::".repeat(usize::try_from(statement).unwrap()),
            id % (10 << (statement * 3)),
        )
        .into_bytes()
    }

    #[test]
    fn lines_of_a_few_statements_become_as_small_as_any_text_does() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/dynamo-1.6.1/frontend.stderr.jsonl");
        let recorded = std::fs::read_to_string(file).unwrap();
        let lines: Vec<Vec<u8>> = recorded.lines().map(|line| format!("\u{12}\u{7}{line}").into()).collect();
        let (packed, plain) = (comes_back(&lines, 2), super::super::compress(&lines.concat()).unwrap().len());
        assert!(packed < plain * 105 / 100, "{packed} bytes, {plain} as any text");
    }

    #[test]
    fn records_that_are_not_alike_become_no_larger_than_any_text_does() {
        let mut state = 7u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        };
        let noise: Vec<Vec<u8>> = (0..2000).map(|_| (0..300).map(|_| next()).collect()).collect();
        let packed = comes_back(&noise, 0);
        assert!(packed < 2000 * 300 * 1001 / 1000, "{packed}");
        let words: Vec<Vec<u8>> = (0..6000)
            .map(|_| {
                (0..12)
                    .map(|_| ["alpha ", "beta ", "gamma ", "delta "][usize::from(next() % 4)])
                    .collect::<String>()
                    .into()
            })
            .collect();
        let (packed, plain) = (comes_back(&words, 0), super::super::compress(&words.concat()).unwrap().len());
        assert!(packed < plain * 11 / 10, "{packed} bytes, {plain} as any text");
    }

    #[test]
    fn records_of_every_size_come_back() {
        for size in [0, 1, 63, 64, 65, 191, 192, 1000, PART - 1, PART, PART + 1, 5 * PART + 7, 700_000] {
            let count = (LEAST * 3 / (size + 1)).clamp(2, 3000);
            let text = (0..40).flat_map(line).cycle();
            comes_back(&vec![text.take(size).collect(); count], 2);
        }
        comes_back(&[], 0);
        comes_back(&[vec![b'x'; LEAST]], 0);
    }

    #[test]
    fn another_length_than_was_announced_is_an_error() {
        for (announced, written) in [(LEAST, LEAST - 1), (LEAST, LEAST + 1), (LEAST, 3 * LEAST), (10, 11), (11, 10)] {
            let mut out = Records::new(announced, Vec::new());
            out.writer().raw(&vec![b'x'; written]);
            out.end(0);
            assert!(out.finish().0.is_err(), "{announced} {written}");
        }
        assert!(Records::new(1 << 32, Vec::new()).finish().0.is_err());
    }

    #[test]
    fn a_body_is_the_same_each_time() {
        let lines: Vec<Vec<u8>> = (0..2000).map(line).collect();
        let first = compressed(&lines, 2);
        compressed(&lines[7..1900], 3);
        assert!(compressed(&lines, 2) == first);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_was_written_comes_back(
            pieces in prop::collection::vec(
                prop_oneof![
                    3 => (0..50u64).prop_map(line),
                    1 => "[a\" ]{0,40}".prop_map(String::into_bytes),
                    1 => prop::collection::vec(any::<u8>(), 0..300),
                    1 => (any::<u8>(), 0..400usize).prop_map(|(byte, len)| vec![byte; len]),
                ],
                1..40,
            ),
            cuts in prop::collection::vec((any::<prop::sample::Index>(), 0..700usize), 1..60),
            before in 0..30usize,
        ) {
            let all = pieces.concat();
            let part = |(at, len): &(prop::sample::Index, usize)| {
                let at = at.index(all.len() + 1);
                all[at..(at + len).min(all.len())].to_vec()
            };
            let some: Vec<Vec<u8>> = cuts.iter().map(part).collect();
            let count = LEAST * 5 / (some.iter().map(Vec::len).sum::<usize>() + 1) + 1;
            let records: Vec<Vec<u8>> = some.iter().cycle().take(some.len() * count.min(3000)).cloned().collect();
            comes_back(&records, before);
        }
    }
}
