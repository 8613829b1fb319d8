//! The keys that lines have shown so far. Lines of one program have the same few keys, most of them in the order of a line
//! before: what comes next is guessed and compared, instead of read and looked up.

use pipeline::json::{JsonError, Scanner, Str};
use pipeline::otlp::fields::key_value;
use pipeline::otlp::write::{ShortKey, Writer};

use super::jsonl::{Fields, Use};

/// Keys that are remembered; what lines have beyond is read each time.
pub const MOST_KEYS: usize = 256;
/// Twice as many, so that few stand in each other's way.
const SLOTS: usize = 2 * MOST_KEYS;
/// Longer ones are not remembered.
const LONGEST: usize = 128;
/// The number of no key: what stands before the first.
pub const START: usize = 0;

/// A key and what follows from it.
#[derive(Debug)]
pub struct Key {
    /// As it stands in lines, with its quotes and the colon behind them.
    quoted: Box<[u8]>,
    /// The first bytes of that as a number, and which of them there are.
    first: (u128, u128),
    /// The same without them.
    pub raw: Box<str>,
    /// What its member is for.
    pub purpose: Use,
    /// Whether an attribute of that key [`decides`], without and with a text as its value.
    pub decides: [bool; 2],
    /// Its field of a `KeyValue`.
    pub field: Box<[u8]>,
    /// The same, if that is short.
    pub short: Option<ShortKey>,
    /// Numbers of the keys that came behind it last, the latest first.
    next: [usize; 2],
}

impl Key {
    /// Whether it stands at the start of these bytes. Most keys are short, and are compared as one number.
    #[inline]
    fn starts(&self, bytes: &[u8]) -> bool {
        let Some(first) = bytes.first_chunk() else { return bytes.starts_with(&self.quoted) };
        (u128::from_le_bytes(*first) ^ self.first.0) & self.first.1 == 0
            && (self.quoted.len() <= first.len() || bytes.starts_with(&self.quoted))
    }
}

/// Keys by number.
#[derive(Debug)]
pub struct Keys {
    fields: Fields,
    list: Vec<Key>,
    /// Numbers by [`slot`].
    slots: Box<[u16; SLOTS]>,
}

/// A key of a line.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    /// One that is known by that number.
    Known(usize),
    /// Another.
    Other(Str<'a>),
}

impl Keys {
    /// None, of lines whose fields are taken in this way.
    pub fn new(fields: Fields) -> Keys {
        let mut keys = Keys { fields, list: Vec::new(), slots: Box::new([0; SLOTS]) };
        keys.list.push(keys.key(""));
        keys
    }

    /// How fields are taken.
    pub fn fields(&self) -> Fields {
        self.fields
    }

    /// The key of that number.
    #[inline]
    pub fn get(&self, number: usize) -> &Key {
        &self.list[number]
    }

    /// Takes a comma or brace and the key behind it, with its colon, if that is what came behind the key of number `before`
    /// last. Takes nothing where it is not, or where there is white space.
    #[inline]
    pub fn guess(&self, text: &mut Scanner<'_>, joint: u8, before: usize) -> Option<usize> {
        let (first, rest) = text.rest().split_first()?;
        if *first != joint {
            return None;
        }
        let number = self.guessed(rest, before)?;
        text.skip(1 + self.list[number].quoted.len());
        Some(number)
    }

    #[inline(always)]
    fn guessed(&self, bytes: &[u8], before: usize) -> Option<usize> {
        let is_next = |number: usize| (number != START && self.list[number].starts(bytes)).then_some(number);
        let [latest, earlier] = self.list[before].next;
        is_next(latest).or_else(|| is_next(earlier))
    }

    /// Reads a key and the colon behind it, of a member behind that of number `before`.
    ///
    /// # Errors
    /// Where there is none.
    pub fn read<'a>(&mut self, text: &mut Scanner<'a>, before: usize) -> Result<Found<'a>, JsonError> {
        text.peek();
        if let Some(number) = self.guessed(text.rest(), before) {
            text.skip(self.list[number].quoted.len());
            return Ok(Found::Known(number));
        }
        let key = text.string()?;
        text.expect(b':', "a `:` should stand here")?;
        Ok(self.look_up(key, before))
    }

    fn look_up<'a>(&mut self, key: Str<'a>, before: usize) -> Found<'a> {
        let mut at = slot(key.raw);
        let number = loop {
            match usize::from(self.slots[at]) {
                START => break self.add(key, at),
                number if *self.list[number].raw == *key.raw => break Some(number),
                _ => at = (at + 1) % SLOTS,
            }
        };
        let Some(number) = number else { return Found::Other(key) };
        let next = &mut self.list[before].next;
        *next = [number, next[0]];
        Found::Known(number)
    }

    fn add(&mut self, key: Str<'_>, slot: usize) -> Option<usize> {
        let number = self.list.len();
        if number == MOST_KEYS || key.raw.len() > LONGEST {
            return None;
        }
        let known = self.key(key.raw);
        let text = key.text();
        self.list.push(Key {
            field: field(&text),
            short: ShortKey::new(&text),
            decides: [false, true].map(|is_text| decides(&text, is_text)),
            ..known
        });
        self.slots[slot] = u16::try_from(number).ok()?;
        Some(number)
    }

    fn key(&self, raw: &str) -> Key {
        let quoted = format!("\"{raw}\":").into_bytes();
        let mut first = [(0, 0); 16];
        first.iter_mut().zip(&quoted).for_each(|(place, byte)| *place = (*byte, u8::MAX));
        Key {
            quoted: quoted.into(),
            first: (u128::from_le_bytes(first.map(|(byte, _)| byte)), u128::from_le_bytes(first.map(|(_, mask)| mask))),
            raw: raw.into(),
            purpose: self.fields.of(raw),
            decides: [false; 2],
            field: Box::default(),
            short: None,
            next: [START; 2],
        }
    }
}

/// Whether an attribute of that key says how its record is to be treated, so that Loki's exporter must see it.
pub fn decides(key: &str, is_text: bool) -> bool {
    key.starts_with("loki.") || (is_text && key == "level")
}

/// A key as the field of a `KeyValue`.
pub fn field(key: &str) -> Box<[u8]> {
    let mut w = Writer::new();
    w.text(key_value::KEY, key);
    w.into_vec().into()
}

fn slot(key: &str) -> usize {
    let mixed = key
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    usize::try_from(mixed >> 32).unwrap_or(0) % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(keys: &mut Keys, line: &str) -> Result<Vec<String>, JsonError> {
        let mut text = Scanner::new(line);
        let (mut before, mut out) = (START, Vec::new());
        loop {
            match keys.read(&mut text, before)? {
                Found::Known(number) => {
                    before = number;
                    out.push(keys.get(number).raw.to_string());
                }
                Found::Other(key) => out.push(format!("other {}", key.raw)),
            }
            text.value()?;
            if !text.take(b',') {
                return Ok(out);
            }
        }
    }

    #[test]
    fn keys_are_read_as_they_stand_whatever_is_expected() {
        let mut keys = Keys::new(Fields::Usual);
        for _ in 0..3 {
            for (line, want) in [
                (r#""a":1,"b":2,"c":3"#, &["a", "b", "c"][..]),
                (r#""a":1,"bb":2,"c":3"#, &["a", "bb", "c"]),
                (r#" "a" : 1 , "c\"":2,"a":3"#, &["a", "c\\\"", "a"]),
                (r#""":1,"b":2"#, &["", "b"]),
            ] {
                assert_eq!(read(&mut keys, line).unwrap(), want, "{line}");
            }
            for (line, what) in [(r#""a":1,b":2"#, "a string"), (r#""a" 1"#, "a `:`"), (r#""a":1,"b"#, "a string has")]
            {
                assert!(read(&mut keys, line).unwrap_err().what.starts_with(what), "{line}");
            }
        }
    }

    #[test]
    fn no_more_keys_are_remembered_than_there_is_room_for() {
        let mut keys = Keys::new(Fields::Usual);
        let line = (0..MOST_KEYS + 10).map(|i| format!("\"key{i}\":0")).collect::<Vec<_>>().join(",");
        let names = |of: usize| if of < MOST_KEYS - 1 { format!("key{of}") } else { format!("other key{of}") };
        for _ in 0..2 {
            assert_eq!(read(&mut keys, &line).unwrap(), (0..MOST_KEYS + 10).map(names).collect::<Vec<_>>());
        }
        let long = "x".repeat(LONGEST + 1);
        assert_eq!(read(&mut Keys::new(Fields::Usual), &format!("\"{long}\":1")).unwrap(), [format!("other {long}")]);
    }
}
