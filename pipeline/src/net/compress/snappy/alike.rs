//! Finds what is alike in records that stand behind each other: log lines of one statement, most of whose text is the
//! same, byte for byte, with values between. Where compressors for any text look for the last place at which a few bytes
//! stood, and find a different one behind every value, this one holds a record beside an earlier one of the same shape, and
//! where they part it looks for the place from which on they are one again: there may be other bytes at the same places, or
//! more or fewer of them before the next quote. What it does not find so it looks up by a few bytes, as others do.

use wide::u8x16;

use super::tags::{FARTHEST, SHORTEST, Tags};

/// Bytes that are compared at once. So many must follow the last record.
pub const AHEAD: usize = 64;
/// Bits of a place in the tables of places.
const BITS: u32 = 12;
/// How many shapes are remembered.
const SHAPES: usize = 512;
/// The pieces at the start of a record's text that make its shape, of [`AHEAD`] bytes.
const SHAPED: usize = 3;
/// Text between two copies that is looked up if it is as long as this: ids stand there, which come in several records.
const ID: usize = 12;
/// Places that are looked up one after the other; behind so many more are left out, one more each time.
const PATIENCE: usize = 4;

/// Where what stood, as places of the whole text. What is found here is compared with the text, so that a place that says
/// nothing costs time alone.
pub struct Places {
    /// By the shape of a record's text.
    shapes: [Place; SHAPES],
    /// By six bytes where records came together again.
    six: [Place; 1 << BITS],
    /// By eight bytes where they parted.
    eight: [Place; 1 << BITS],
}

/// A place and one, so that 0 is none.
type Place = u32;

impl Default for Places {
    fn default() -> Places {
        Places { shapes: [0; SHAPES], six: [0; 1 << BITS], eight: [0; 1 << BITS] }
    }
}

/// A record of the text.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// Where what shows its shape begins.
    pub shown: usize,
    /// Where it ends. It begins where the one before ends.
    pub end: usize,
}

impl Places {
    /// Forgets everything.
    pub fn forget(&mut self) {
        self.shapes.fill(0);
        self.six.fill(0);
        self.eight.fill(0);
    }
}

impl Record {
    /// The same in a text that begins so much later.
    #[must_use]
    pub fn moved(self, by: usize) -> Record {
        Record { shown: self.shown - by, end: self.end - by }
    }
}

/// Writes the records' text from `from` on. Behind the last of them stand [`AHEAD`] bytes; before `from` stands what was
/// written already, `base` bytes of which are not there any more.
pub fn write(places: &mut Places, base: usize, text: &[u8], from: usize, records: &[Record], tags: &mut Tags<'_>) {
    let mut parser = Parser { places, base, text, open: from, tags };
    let (mut start, mut before) = (from, from);
    for record in records {
        // Without one, the record right before is as good as any.
        let back = parser.earlier(record, start).unwrap_or(start - before);
        parser.record(start, record.end, back);
        (before, start) = (start, record.end);
    }
    parser.part(start);
}

struct Parser<'a, 'o> {
    places: &'a mut Places,
    base: usize,
    text: &'a [u8],
    /// From here on nothing is written yet.
    open: usize,
    tags: &'a mut Tags<'o>,
}

impl Parser<'_, '_> {
    /// How far before it there is a record of the same shape.
    fn earlier(&mut self, record: &Record, start: usize) -> Option<usize> {
        let mut mixed = 0u64;
        for piece in 0..SHAPED.min((record.end - record.shown) / AHEAD) {
            mixed = (mixed ^ quotes(self.window(record.shown + piece * AHEAD))).wrapping_mul(MIX);
            mixed ^= mixed >> 29;
        }
        let slot = usize::try_from(mixed >> 48).unwrap_or(0) % SHAPES;
        let here = self.place(record.shown);
        let place = std::mem::replace(&mut self.places.shapes[slot], here);
        let back = self.back(place, record.shown)?;
        // Its beginning must be there, too.
        (back <= start).then_some(back)
    }

    /// Writes a record, held beside what stands `back` before, where that is not 0.
    #[inline(always)]
    fn record(&mut self, mut at: usize, end: usize, mut back: usize) {
        while at < end {
            let room = (end - at).min(AHEAD);
            let same =
                if back == 0 || back > FARTHEST { 0 } else { self.same(at, back) & (u64::MAX >> (AHEAD - room)) };
            let Some(mut run) = long_run(same, 0) else {
                let Some((place, farther)) = self.find(at, end, back) else { return };
                back = farther;
                at = self.same_until(place, end, back);
                let before = self.text[self.open..place].iter().rev().zip(self.text[..place - back].iter().rev());
                let start = place - before.take_while(|(a, b)| a == b).count();
                if at - start >= SHORTEST {
                    self.again(start, at, back);
                }
                continue;
            };
            loop {
                let stop = run + (!(same >> run)).trailing_zeros() as usize;
                if stop >= room {
                    let start = at + run;
                    at = self.same_until(at + room, end, back);
                    self.again(start, at, back);
                    break;
                }
                self.again(at + run, at + stop, back);
                match long_run(same, stop) {
                    Some(next) => run = next,
                    None => {
                        at += stop;
                        break;
                    }
                }
            }
        }
    }

    /// How far from `at` on, up to `end`, the text is the same as that `back` before.
    #[inline(always)]
    fn same_until(&self, mut at: usize, end: usize, back: usize) -> usize {
        while at < end {
            let same = self.same(at, back);
            if same != u64::MAX {
                at += (!same).trailing_zeros() as usize;
                break;
            }
            at += AHEAD;
        }
        at.min(end)
    }

    /// The text from `start` to `end` is the same as that `back` before.
    #[inline(always)]
    fn again(&mut self, start: usize, end: usize, back: usize) {
        self.part(start);
        self.tags.copy(back, end - start);
        self.open = end;
    }

    /// Writes what is open up to `end`, which is not the same as at the place that its surroundings are the same as.
    #[inline(always)]
    fn part(&mut self, end: usize) {
        if end - self.open >= ID {
            self.look_up_ids(end);
        }
        self.tags.literal(self.text, self.open, end);
        self.open = end;
    }

    #[inline(never)]
    fn look_up_ids(&mut self, end: usize) {
        while end - self.open >= 8 {
            let at = self.open;
            let bytes = self.eight_bytes(at);
            let (slot, here) = (slot(bytes), self.place(at));
            let place = std::mem::replace(&mut self.places.eight[slot], here);
            let Some(back) = self.back(place, at).filter(|back| self.eight_bytes(at - back) == bytes) else { return };
            self.open = self.same_until(at, end, back);
            self.tags.copy(back, self.open - at);
        }
    }

    /// The next place from which on the text is the same as another, and how far before that is.
    #[inline(never)]
    fn find(&mut self, at: usize, end: usize, back: usize) -> Option<(usize, usize)> {
        if back != 0
            && let Some(found) = self.behind_a_value(at, end, back)
        {
            return Some(found);
        }
        let (mut at, mut step) = (at, PATIENCE);
        while at < end {
            let bytes = self.eight_bytes(at) << 16;
            let slot = slot(bytes);
            let here = self.place(at);
            let place = std::mem::replace(&mut self.places.six[slot], here);
            if let Some(back) = self.back(place, at)
                && self.eight_bytes(at - back) << 16 == bytes
            {
                return Some((at, back));
            }
            at += step / PATIENCE;
            step += 1;
        }
        None
    }

    /// The same for a value that is longer or shorter than the one `back` before: what stands behind both is the same.
    #[inline(always)]
    fn behind_a_value(&mut self, at: usize, end: usize, back: usize) -> Option<(usize, usize)> {
        let here = at + quotes(self.window(at)).trailing_zeros() as usize;
        let there = at - back + quotes(self.window(at - back)).trailing_zeros() as usize;
        if here >= end || there >= here || here - there > FARTHEST {
            return None;
        }
        let bytes = self.eight_bytes(here);
        if self.eight_bytes(there) != bytes {
            return None;
        }
        self.places.six[slot(bytes << 16)] = self.place(here);
        Some((here, here - there))
    }

    /// A bit for each of the next bytes that is the same as the one `back` before.
    #[inline(always)]
    fn same(&self, at: usize, back: usize) -> u64 {
        bits(self.window(at), self.window(at - back))
    }

    #[inline(always)]
    fn window(&self, at: usize) -> &[u8; AHEAD] {
        let Some(window) = self.text[at..].first_chunk() else { unreachable!("so much follows the last record") };
        window
    }

    #[inline(always)]
    fn eight_bytes(&self, at: usize) -> u64 {
        let Some(bytes) = self.text[at..].first_chunk() else { unreachable!("so much follows the last record") };
        u64::from_le_bytes(*bytes)
    }

    #[inline(always)]
    fn place(&self, at: usize) -> Place {
        Place::try_from(self.base + at + 1).unwrap_or(0)
    }

    /// How far before `at` a place is, if a copy reaches so far and it is still there.
    #[inline(always)]
    fn back(&self, place: Place, at: usize) -> Option<usize> {
        let place = (place as usize).checked_sub(self.base + 1)?;
        at.checked_sub(place).filter(|back| *back > 0 && *back <= FARTHEST)
    }
}

const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

#[inline(always)]
fn slot(bytes: u64) -> usize {
    usize::try_from(bytes.wrapping_mul(MIX) >> (u64::BITS - BITS)).unwrap_or(0)
}

/// Where from bit `from` on eight bits are set one after the other.
#[inline(always)]
fn long_run(bits: u64, from: usize) -> Option<usize> {
    let bits = bits >> from;
    let two = bits & bits >> 1;
    let four = two & two >> 2;
    let eight = four & four >> 4;
    (eight != 0).then(|| from + eight.trailing_zeros() as usize)
}

#[inline(always)]
fn quotes(window: &[u8; AHEAD]) -> u64 {
    bits(window, &[b'"'; AHEAD])
}

/// A bit for each byte that both have, the first the lowest.
#[inline(always)]
fn bits(a: &[u8; AHEAD], b: &[u8; AHEAD]) -> u64 {
    let part = |a: &[u8; 16], b: &[u8; 16]| u64::from(u8x16::new(*a).simd_eq(u8x16::new(*b)).to_bitmask());
    match (a.as_chunks(), b.as_chunks()) {
        (([a, b, c, d], []), ([e, f, g, h], [])) => part(a, e) | part(b, f) << 16 | part(c, g) << 32 | part(d, h) << 48,
        _ => unreachable!("64 bytes are four times 16"),
    }
}
