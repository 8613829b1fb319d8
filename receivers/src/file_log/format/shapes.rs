//! The shapes of lines that are remembered, by the places of their quotes. A shape is learnt where such a line comes again,
//! and lines that come once cost little more than without.

use std::sync::Arc;

use pipeline::json::all_marks;

use super::civil::Minute;
use super::jsonl::Fields;
use super::shape::Shape;
use crate::file_log::facts::Facts;

/// Shapes are looked for in one of so many sets.
const SETS: usize = 256;
/// The most in a set.
const WAYS: usize = 4;
/// Shorter lines gain nothing, longer ones take too much room.
const LENGTHS: std::ops::RangeInclusive<usize> = 64..=2048;
/// The most bytes that shapes take together.
const MOST_BYTES: usize = 2 << 20;
/// A shape is learnt for each so many lines that were of a known one, beside what there is room for.
const COST: usize = 16;
/// What no line fits so many times in a row is forgotten.
const MOST_MISSES: u8 = 4;

/// Shapes, and the marks of the line that is read.
#[derive(Debug)]
pub struct Shapes {
    marks: Vec<u64>,
    /// Which attributes are taken: another line of the same shape makes another record where others are.
    taken: Arc<str>,
    sets: Box<[Set]>,
    bytes: usize,
    /// What may be spent on learning.
    credit: usize,
    /// The signature of the line that is read, if its shape is to be learnt.
    wanted: Option<u64>,
}

/// Shapes whose signatures are in the same set.
#[derive(Debug, Default)]
struct Set {
    /// Whose shape is in the same place of `shapes`; or who has none, where there is none.
    tags: [u32; WAYS],
    shapes: [Option<Box<Shape>>; WAYS],
    misses: [u8; WAYS],
    /// Who was seen once, and not long ago.
    seen: [u32; WAYS],
    /// Where the next tag and the next that was seen go.
    next: (u8, u8),
}

impl Default for Shapes {
    fn default() -> Shapes {
        let sets = std::iter::repeat_with(Set::default).take(SETS).collect();
        Shapes { marks: Vec::new(), taken: "".into(), sets, bytes: 0, credit: SETS * WAYS * COST, wanted: None }
    }
}

impl Shapes {
    /// The shape of a line, with its record written, if that is known. Looks for the marks of the line in any case.
    #[inline]
    pub fn fitting(&mut self, line: &str, taken: &Facts, observed: u64, minute: &mut Minute) -> Option<&Shape> {
        all_marks(line.as_bytes(), &mut self.marks);
        self.wanted = None;
        if !LENGTHS.contains(&line.len()) {
            return None;
        }
        if !Arc::ptr_eq(&self.taken, taken.keys()) {
            self.begin_anew(taken);
        }
        let signature = signature(&self.marks, line.len());
        let (set, tag) = place(signature);
        let set = &mut self.sets[set];
        let Some(way) = set.tags.iter().position(|known| *known == tag) else {
            self.wanted = set.is_seen(tag).then_some(signature).filter(|_| self.credit >= COST);
            return None;
        };
        let shape = set.shapes[way].as_mut()?;
        if shape.write(line, &self.marks, observed, minute)
            || (shape.loosen(line, &self.marks) && shape.write(line, &self.marks, observed, minute))
        {
            self.credit = (self.credit + 1).min(SETS * WAYS * COST);
            set.misses[way] = 0;
            return set.shapes[way].as_deref();
        }
        set.misses[way] += 1;
        if set.misses[way] == MOST_MISSES {
            self.bytes -= shape.bytes();
            (set.shapes[way], set.tags[way], set.misses[way]) = (None, 0, 0);
        }
        None
    }

    /// The marks of the line that was looked at last.
    pub fn marks(&self) -> &[u64] {
        &self.marks
    }

    /// Whether the shape of that line should be learnt.
    pub fn wants_more(&self) -> bool {
        self.wanted.is_some()
    }

    /// Learns the shape of that line, of whose record this is known: what stands before its body and attributes, and the
    /// attributes that it shows.
    #[cold]
    pub fn learn(&mut self, line: &str, fields: Fields, taken: &Facts, head: &[u8], shown: &[u8]) {
        let Some(signature) = self.wanted.take() else { return };
        self.credit -= COST;
        let shape = Shape::of(line, &self.marks, fields, taken, (head, shown)).map(Box::new);
        let more = shape.as_ref().map_or(0, |shape| shape.bytes());
        if self.bytes + more > MOST_BYTES {
            self.forget();
        }
        let (set, tag) = place(signature);
        let set = &mut self.sets[set];
        let way = usize::from(set.next.0) % WAYS;
        set.next.0 = set.next.0.wrapping_add(1);
        self.bytes -= set.shapes[way].as_ref().map_or(0, |shape| shape.bytes());
        self.bytes += more;
        (set.tags[way], set.shapes[way], set.misses[way]) = (tag, shape, 0);
    }

    /// Shapes know which attributes are taken; those of a file that take others make them useless.
    #[cold]
    fn begin_anew(&mut self, taken: &Facts) {
        if self.taken != *taken.keys() {
            self.forget();
        }
        self.taken = taken.keys().clone();
    }

    fn forget(&mut self) {
        self.sets.fill_with(Set::default);
        self.bytes = 0;
    }
}

impl Set {
    /// Whether a line of that tag was seen before. It is from now on.
    fn is_seen(&mut self, tag: u32) -> bool {
        let is_seen = self.seen.contains(&tag);
        if !is_seen {
            self.seen[usize::from(self.next.1) % WAYS] = tag;
            self.next.1 = self.next.1.wrapping_add(1);
        }
        is_seen
    }
}

/// A number that lines of other marks or lengths have not, mostly.
#[inline]
fn signature(marks: &[u64], len: usize) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let all = marks.iter().fold(len as u64, |all, word| (all ^ word).wrapping_mul(ODD).rotate_right(29));
    all.wrapping_mul(ODD)
}

/// The set of a signature, and what tells it apart there, which is not 0.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "some bits of it")]
fn place(signature: u64) -> (usize, u32) {
    ((signature >> 56) as usize % SETS, (signature >> 24) as u32 | 1)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use pipeline::otlp::write::Scalar;
    use proptest::prelude::*;

    use super::super::jsonl::Reader;
    use super::super::record::{Group, Requests};
    use super::*;

    /// What a reader makes of a line: the record but for its body, the attributes that it shows, and whether they decide
    /// nothing. Or what is wrong.
    type Read = Result<(Vec<u8>, Vec<u8>, bool), String>;

    fn read(reader: &mut Reader, line: &str, taken: &Facts, times: (Option<u64>, u64)) -> Read {
        let mut requests = Requests::default();
        let mut record = requests.record(&Arc::new(Group::new(b"", "")));
        let before = record.writer().len();
        reader.write(line, taken, times, &mut record).map_err(|error| error.to_string())?;
        let head = record.writer().as_slice()[before..].to_vec();
        record.body(Scalar::Text(line));
        record.end();
        Ok((head, reader.shown().to_vec(), requests.take().known().shown_last))
    }

    /// The same by a reader that knows no shape.
    fn read_anew(fields: Fields, line: &str, taken: &Facts, times: (Option<u64>, u64)) -> Read {
        read(&mut Reader::new(fields), line, taken, times)
    }

    fn recorded() -> Vec<String> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/dynamo-1.6.1");
        let read = |name| std::fs::read_to_string(format!("{folder}/{name}.stderr.jsonl")).unwrap();
        ["frontend", "worker1"]
            .iter()
            .flat_map(|name| read(name).lines().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    const OTHERS: [&str; 8] = [
        r#"{"ts":1795188686.681620,"level":30,"msg":"accepted","n":1234,"d":1.25,"big":11360150215887396147,"ok":true,"no":null}"#,
        r#"{"time":"2026-11-20T15:31:20.697658Z","lvl":"WARN","loki.format":"json","message":"longer than ever","worker_id":17}"#,
        r#"{"time":"2026-11-20T15:31:20Z","level":"INFO","message":"é é é","span_id":"549755813889","trace_flags":"01","x":-1.5e3}"#,
        r#"{ "time" : "2026-11-20T15:31:20Z" , "level":"INFO", "message": "spaced out" ,"worker_id": 12 , "n":0 , "m":10 }"#,
        r#"{"time":"2026-11-20T15:31:20Z","severity":"INFO","level":"WARN","message":"two levels of different names here"}"#,
        r#"{"time":"2026-11-20T15:31:20Z","message":"nested","inner":{"trace_id":"1"},"list":[1,2,3],"request_id":"12345678"}"#,
        r#"{"time":"2026-11-20T15:31:20Z","trace_id":"00000000000000000000000000000000","span_id":"0000000000000001","level":1}"#,
        r#"{"message":"without any time, which is that of the container or of nobody","level":"INFO","model":"m","n":"12"}"#,
    ];

    /// What is done to a line before it is read.
    #[derive(Clone, Debug)]
    enum Change {
        /// Each digit is another one.
        Digits(u64),
        /// The same for hexadecimal letters and digits.
        Hex(u64),
        /// A character is another one.
        Char(usize, char),
        /// Its level is another one of the same length.
        Level,
        /// A member stands in front, perhaps once more.
        Member(&'static str),
        /// It breaks off.
        End(usize),
    }

    fn changes() -> impl Strategy<Value = Change> {
        let char = prop::sample::select("\"\\é\u{1}a{}[],:0-.eE 9f\u{2028}".chars().collect::<Vec<_>>());
        let member = ["\"level\":\"INFO\",", "\"message\":\"m\",", "\"trace_id\":1,", "\"l\\u0065vel\":\"x\","];
        prop_oneof![
            6 => any::<u64>().prop_map(Change::Digits),
            6 => any::<u64>().prop_map(Change::Hex),
            4 => (any::<usize>(), char).prop_map(|(at, char)| Change::Char(at, char)),
            1 => Just(Change::Level),
            1 => prop::sample::select(member.to_vec()).prop_map(Change::Member),
            1 => any::<usize>().prop_map(Change::End),
        ]
    }

    fn changed(line: &str, change: &Change) -> String {
        let other = |seed: &mut u64, most: u64| {
            *seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            char::from_digit(u32::try_from((*seed >> 33) % most).unwrap(), 16).unwrap()
        };
        match change {
            Change::Digits(seed) => {
                let mut seed = *seed;
                line.chars().map(|c| if c.is_ascii_digit() { other(&mut seed, 10) } else { c }).collect()
            }
            // Only behind what is quoted with digits: keys and words are as they were.
            Change::Hex(seed) => {
                let mut seed = *seed;
                let mut out = String::new();
                for part in line.split_inclusive('"') {
                    let inside = part.trim_end_matches('"');
                    let is_id = inside.len() >= 8 && inside.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
                    let map = |c: char| if is_id && c != '-' && c != '"' { other(&mut seed, 16) } else { c };
                    out.extend(part.chars().map(map));
                }
                out
            }
            Change::Char(at, char) => {
                let at = at % line.chars().count().max(1);
                line.chars().enumerate().map(|(i, c)| if i == at { *char } else { c }).collect()
            }
            Change::Level => line.replace("INFO", "WARN"),
            Change::Member(member) => line.replacen('{', &format!("{{{member}"), 1),
            Change::End(at) => line.chars().take(at % line.chars().count().max(1)).collect(),
        }
    }

    proptest! {
        #[test]
        fn a_line_makes_the_same_record_whether_its_shape_is_known_or_not(
            fields in prop::sample::select(vec![Fields::Dynamo, Fields::Usual, Fields::Container]),
            bases in prop::collection::vec(any::<prop::sample::Index>(), 2),
            known in any::<Option<u64>>(),
            observed in any::<u64>(),
            lines in prop::collection::vec((any::<bool>(), prop::option::weighted(0.7, changes()), 0..20u8), 3..16),
        ) {
            thread_local!(static LINES: Vec<String> = recorded().into_iter().chain(OTHERS.map(str::to_owned)).collect());
            let bases: Vec<String> = LINES.with(|all| {
                // Every other one is none of the recorded lines.
                let last = &all[all.len() - OTHERS.len()..];
                vec![bases[0].get(all).clone(), bases[1].get(last).clone()]
            });
            let facts = [&["log.file.name"][..], &["log.file.name", "message", "x_request_id"]]
                .map(|keys| Facts::new(keys.iter().map(|key| ((*key).into(), "f".to_owned()))));
            let mut reader = Reader::new(fields);
            let mut now = bases.clone();
            for (which, change, facts_of) in &lines {
                let line = &mut now[usize::from(*which)];
                if let Some(change) = change {
                    let next = changed(line, change);
                    // What is changed in bytes that are no value, is gone with the next line.
                    *line = if next.starts_with('{') && next.ends_with('}') { next } else {
                        let taken = &facts[usize::from(*facts_of == 0)];
                        let want = read_anew(fields, &next, taken, (known, observed));
                        prop_assert_eq!(read(&mut reader, &next, taken, (known, observed)), want, "{}", next);
                        bases[usize::from(*which)].clone()
                    };
                }
                let taken = &facts[usize::from(*facts_of == 0)];
                // As it is and once more, so that shapes are learnt and used.
                for _ in 0..2 {
                    let want = read_anew(fields, line, taken, (known, observed));
                    prop_assert_eq!(read(&mut reader, line, taken, (known, observed)), want, "{}", line);
                }
            }
        }
    }

    /// Whether the shape of a line is known. It is learnt as a reader does it.
    fn fits(shapes: &mut Shapes, fields: Fields, line: &str) -> bool {
        let taken = Facts::default();
        if shapes.fitting(line, &taken, 1, &mut Minute::default()).is_some() {
            return true;
        }
        if shapes.wants_more() {
            let (head, shown, _) = read_anew(fields, line, &taken, (None, 1)).unwrap();
            shapes.learn(line, fields, &taken, &head, &shown);
        }
        false
    }

    #[test]
    fn lines_are_of_a_known_shape_from_the_third_on_whatever_their_values() {
        let line = |second: u32, id: &str, n: u32| {
            format!(
                "{{\"time\":\"2026-11-20T15:31:{second:02}Z\",\"level\":\"INFO\",\"message\":\"m\",\"request_id\":\"{id}\",\"line\":{n}}}"
            )
        };
        let mut shapes = Shapes::default();
        let got =
            [(1, "aaaa", 10), (2, "bbbb", 11), (3, "cccc", 12), (4, "dddd", 13), (61, "eeee", 14), (5, "ffff", 15)]
                .map(|(second, id, n)| fits(&mut shapes, Fields::Dynamo, &line(second, id, n)));
        assert_eq!(got, [false, false, true, true, false, true]);
    }

    #[test]
    fn most_lines_of_a_recorded_run_are_of_a_known_shape_when_it_comes_again() {
        let (mut shapes, lines) = (Shapes::default(), recorded());
        let mut known =
            || lines.iter().filter(|line| fits(&mut shapes, Fields::Dynamo, line)).count() * 100 / lines.len();
        let known = [known(), known(), known()];
        assert!(known[0] > 20 && known[1] > 70 && known[2] > 95, "{known:?}");
    }

    #[test]
    fn lines_that_come_once_are_not_learnt_and_no_more_is_learnt_than_pays() {
        let mut shapes = Shapes::default();
        for len in 0..2000 {
            assert!(!fits(
                &mut shapes,
                Fields::Usual,
                &format!("{{\"time\":\"2026-11-20T15:31:26Z\",\"message\":\"{}\"}}", "x".repeat(len))
            ));
        }
        assert_eq!(shapes.bytes, 0);
        let mut line = String::new();
        let mut known = 0;
        for round in 0..20_000 {
            line.clear();
            // Each twice in a row, and never again.
            let (a, b) = (round / 2 % 100, round / 200);
            write!(line, "{{\"time\":\"2026-11-20T15:31:26Z\",\"{}\":\"{}\"}}", "a".repeat(a), "b".repeat(b)).unwrap();
            known += usize::from(fits(&mut shapes, Fields::Usual, &line));
        }
        assert_eq!(known, 0);
        assert!(shapes.bytes <= MOST_BYTES && shapes.credit < COST);
    }
}
