//! The attributes of one message while they are being edited.

use smallvec::SmallVec;

use super::super::fields::key_value;
use super::super::place::Place;
use super::super::splice::Splice;
use super::super::view::{AnyValue, KeyValue, View};
use super::super::wire::{Field, Fields, LEN, WireError, usual};
use super::super::write::Writer;

/// When to write an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum When {
    /// Only if there is none of that key.
    Absent,
    /// Only if there is one of that key.
    Present,
    /// In any case.
    Always,
}

/// What becomes of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewrite {
    /// It stays as it is.
    Keep,
    /// It is taken away.
    Delete,
    /// Its value becomes what was written: the inside of an `AnyValue`.
    Value,
}

/// The attributes of a resource, scope, item or data point.
///
/// Where a key occurs more than once, writing leaves one, in the place of the first; deleting takes all away; reading
/// finds the last, as most readers do. New attributes stand behind the others. Keys and values are read when asked for,
/// so a malformed attribute is an error of the first method that meets it.
#[derive(Debug)]
pub struct Attributes<'a> {
    place: Place<'a>,
    message: &'a [u8],
    /// The inside of the messages that hold the attributes: one, or as often as a resource or scope occurs; with the
    /// number of entries when they have been read.
    holders: SmallVec<[(&'a [u8], usize); 1]>,
    number: u32,
    /// What was read from the holders, and then what is new.
    entries: Vec<Entry<'a>>,
    is_loaded: bool,
    /// No entries have changed but those between.
    changed_from: usize,
    changed_to: usize,
    /// Lent by the splice.
    written: Writer,
}

#[derive(Clone, Copy, Debug)]
struct Entry<'a> {
    /// The attribute as it stands, key and length of its field included; empty for a new one.
    field: &'a [u8],
    key: &'a [u8],
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Kept,
    Gone,
    /// The field among what was written.
    Written {
        from: u32,
        to: u32,
    },
}

impl<'a> Attributes<'a> {
    pub(super) fn new() -> Attributes<'a> {
        Attributes {
            place: Place::at(&[], 0),
            message: &[],
            holders: SmallVec::new(),
            number: 0,
            entries: Vec::new(),
            is_loaded: false,
            changed_from: usize::MAX,
            changed_to: 0,
            written: Writer::new(),
        }
    }

    /// Begins with the attributes in field `number` of one message.
    #[inline]
    pub(super) fn begin(&mut self, place: &Place<'a>, message: &'a [u8], number: u32, splice: &mut Splice<'a>) {
        self.reset(place, message, number, splice);
        self.holders.push((message, 0));
    }

    /// Begins with the attributes in field `number` of a message that may occur any number of times.
    pub(super) fn begin_all(
        &mut self,
        place: &Place<'a>,
        occurrences: &[Field<'a>],
        number: u32,
        splice: &mut Splice<'a>,
    ) -> Result<(), WireError> {
        let holders = occurrences.iter().map(|field| field.value.bytes());
        self.reset(place, &[], number, splice);
        for holder in holders {
            self.message = holder?;
            self.holders.push((self.message, 0));
        }
        Ok(())
    }

    #[inline]
    fn reset(&mut self, place: &Place<'a>, message: &'a [u8], number: u32, splice: &mut Splice<'a>) {
        // A place is large, and mostly that of the message before.
        if !self.place.is(place) {
            self.place = *place;
        }
        self.message = message;
        self.holders.clear();
        self.number = number;
        self.entries.clear();
        self.is_loaded = false;
        (self.changed_from, self.changed_to) = (usize::MAX, 0);
        std::mem::swap(&mut self.written, splice.writer());
    }

    /// Where the message stands.
    #[inline]
    pub fn place(&self) -> &Place<'a> {
        &self.place
    }

    /// The message that holds the attributes as it was before the edit: the resource, scope, span, log record or data
    /// point; the last occurrence where there are several.
    #[inline]
    pub fn message(&self) -> &'a [u8] {
        self.message
    }

    /// The attributes in their order, new ones last.
    ///
    /// # Errors
    /// When an attribute is malformed; likewise below.
    pub fn iter(&mut self) -> Result<impl Iterator<Item = Result<KeyValue<'_>, WireError>>, WireError> {
        self.load()?;
        let written = self.written.as_slice();
        Ok(self.entries.iter().filter(|e| e.state != State::Gone).map(|e| KeyValue::view(inside(e.now(written)))))
    }

    /// The value of that key; the last, if there are several.
    pub fn find(&mut self, key: &str) -> Result<Option<AnyValue<'_>>, WireError> {
        self.load()?;
        let written = self.written.as_slice();
        let found = self.entries.iter().rev().find(|entry| entry.is(key, written));
        found.map(|entry| Ok(KeyValue::view(inside(entry.now(written)))?.value)).transpose()
    }

    /// Whether there is an attribute of that key.
    pub fn contains(&mut self, key: &str) -> Result<bool, WireError> {
        self.load()?;
        let written = self.written.as_slice();
        Ok(self.entries.iter().any(|entry| entry.is(key, written)))
    }

    /// Writes an attribute unless there is one of that key. Answers whether it did.
    pub fn insert<'v>(&mut self, key: &str, value: impl Into<AnyValue<'v>>) -> Result<bool, WireError> {
        self.write(When::Absent, key, value.into())
    }

    /// Writes those of several attributes whose keys are not there. Each comes with its whole `KeyValue` message, written
    /// once for many edits, and no key comes twice.
    pub fn insert_all<'k>(&mut self, all: impl IntoIterator<Item = (&'k str, &'k [u8])>) -> Result<(), WireError> {
        self.load()?;
        let before = self.entries.len();
        for (key, inside) in all {
            let written = self.written.as_slice();
            if !self.entries[..before].iter().any(|entry| entry.is(key, written)) {
                let state = self.written(|w, number| w.bytes(number, inside));
                self.entries.push(Entry { field: &[], key: &[], state });
            }
        }
        if self.entries.len() > before {
            self.changed(before);
            self.changed(self.entries.len() - 1);
        }
        Ok(())
    }

    /// Writes an attribute if there is one of that key. Answers whether there is.
    pub fn update<'v>(&mut self, key: &str, value: impl Into<AnyValue<'v>>) -> Result<bool, WireError> {
        self.write(When::Present, key, value.into())
    }

    /// Writes an attribute, in the place of any of that key.
    pub fn upsert<'v>(&mut self, key: &str, value: impl Into<AnyValue<'v>>) -> Result<(), WireError> {
        self.write(When::Always, key, value.into()).map(drop)
    }

    /// Writes the value of the attribute `from` under the key `to`. Answers whether it did: not without `from`.
    pub fn copy(&mut self, from: &str, to: &str, when: When) -> Result<bool, WireError> {
        self.load()?;
        let written = self.written.as_slice();
        let Some(entry) = self.entries.iter().rev().find(|entry| entry.is(from, written)) else { return Ok(false) };
        if entry.state == State::Kept {
            let original = inside(entry.field);
            return self.write(when, to, KeyValue::view(original)?.value);
        }
        let copied = inside(entry.now(written)).to_vec();
        self.write(when, to, KeyValue::view(&copied)?.value)
    }

    /// Writes an attribute when the condition holds. Answers whether it did.
    pub fn write(&mut self, when: When, key: &str, value: AnyValue<'_>) -> Result<bool, WireError> {
        self.load()?;
        let Some(first) = self.entries.iter().position(|entry| entry.is(key, self.written.as_slice())) else {
            if when == When::Present {
                return Ok(false);
            }
            let state = self.field(key, value);
            self.entries.push(Entry { field: &[], key: &[], state });
            self.changed(self.entries.len() - 1);
            return Ok(true);
        };
        if when == When::Absent {
            return Ok(false);
        }
        self.delete_from(first + 1, key);
        let new = self.field(key, value);
        let written = self.written.as_slice();
        let entry = &mut self.entries[first];
        if entry.now(written) == (Entry { state: new, ..*entry }).now(written) {
            return Ok(true);
        }
        entry.state = new;
        self.changed(first);
        Ok(true)
    }

    /// Takes away the attributes of that key. Answers whether there were any.
    pub fn delete(&mut self, key: &str) -> Result<bool, WireError> {
        self.load()?;
        Ok(self.delete_from(0, key))
    }

    /// Keeps the attributes that `keep` says. Answers how many it took away.
    pub fn retain(&mut self, mut keep: impl FnMut(&KeyValue<'_>) -> bool) -> Result<usize, WireError> {
        self.load()?;
        let mut deleted = 0;
        for i in 0..self.entries.len() {
            let entry = &mut self.entries[i];
            if entry.state != State::Gone && !keep(&KeyValue::view(inside(entry.now(self.written.as_slice())))?) {
                entry.state = State::Gone;
                deleted += 1;
                self.changed(i);
            }
        }
        Ok(deleted)
    }

    /// Shows every attribute to `change`, in their order: its key and its whole `KeyValue` message as bytes, so that only
    /// what matters is read, with a writer for the new value.
    pub fn rewrite(
        &mut self,
        mut change: impl FnMut(&[u8], &[u8], &mut Writer) -> Result<Rewrite, WireError>,
    ) -> Result<(), WireError> {
        self.load()?;
        let mut value = Writer::new();
        for i in 0..self.entries.len() {
            let entry = self.entries[i];
            if entry.state == State::Gone {
                continue;
            }
            let inside = inside(entry.now(self.written.as_slice()));
            let key = if entry.state == State::Kept { entry.key } else { read_key(inside)? };
            match change(key, inside, &mut value)? {
                Rewrite::Keep => continue,
                Rewrite::Delete => self.entries[i].state = State::Gone,
                Rewrite::Value => {
                    let mut new = Writer::new();
                    new.bytes(key_value::KEY, key);
                    new.bytes(key_value::VALUE, value.as_slice());
                    value.clear();
                    self.entries[i].state = self.written(|w, number| w.bytes(number, new.as_slice()));
                }
            }
            self.changed(i);
        }
        Ok(())
    }

    fn delete_from(&mut self, first: usize, key: &str) -> bool {
        let mut found = false;
        for i in first..self.entries.len() {
            if self.entries[i].is(key, self.written.as_slice()) {
                self.entries[i].state = State::Gone;
                self.changed(i);
                found = true;
            }
        }
        found
    }

    #[inline]
    fn changed(&mut self, entry: usize) {
        self.changed_from = self.changed_from.min(entry);
        self.changed_to = self.changed_to.max(entry + 1);
    }

    #[inline]
    fn field(&mut self, key: &str, value: AnyValue<'_>) -> State {
        self.written(|w, number| w.attribute(number, key, value))
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "protobuf messages stay below 2 GiB")]
    fn written(&mut self, write: impl FnOnce(&mut Writer, u32)) -> State {
        let from = self.written.len() as u32;
        write(&mut self.written, self.number);
        State::Written { from, to: self.written.len() as u32 }
    }

    #[inline]
    fn load(&mut self) -> Result<(), WireError> {
        if self.is_loaded { Ok(()) } else { self.load_now() }
    }

    fn load_now(&mut self) -> Result<(), WireError> {
        let tag = self.number << 3 | LEN;
        for (holder, end) in &mut self.holders {
            let mut rest = *holder;
            while let [first, len, ..] = rest {
                // Attributes mostly stand together and are short, so this is the usual way.
                if u32::from(*first) == tag
                    && *len < 0x80
                    && let Some((field, behind)) = rest.split_at_checked(usize::from(*len) + 2)
                {
                    rest = behind;
                    self.entries.push(Entry { field, key: read_key(&field[2..])?, state: State::Kept });
                } else if u32::from(*first) >> 3 != self.number
                    && let Some((_, behind)) = usual(rest)
                {
                    rest = behind;
                } else if let Some(field) = next_field(&mut rest)?
                    && field.number == self.number
                {
                    let key = read_key(field.value.bytes()?)?;
                    self.entries.push(Entry { field: field.raw, key, state: State::Kept });
                }
            }
            if !rest.is_empty() {
                return Err(WireError::Truncated);
            }
            *end = self.entries.len();
        }
        self.is_loaded = true;
        Ok(())
    }

    /// Gives the writer back.
    #[inline]
    pub(super) fn end(&mut self, splice: &mut Splice<'a>) {
        std::mem::swap(&mut self.written, splice.writer());
    }

    #[inline]
    pub(super) fn is_changed(&self) -> bool {
        self.changed_from < self.changed_to
    }

    /// Patches what changed in one of the holders, in their order; new attributes go to the last.
    pub(super) fn patch(&mut self, splice: &mut Splice<'a>, holder: usize) {
        let (inside, end) = self.holders[holder];
        let start = if holder == 0 { 0 } else { self.holders[holder - 1].1 };
        let changed = self.changed_from.max(start)..self.changed_to.min(end);
        for entry in self.entries.get(changed).unwrap_or_default() {
            match entry.state {
                State::Kept => {}
                State::Gone => splice.remove(entry.field),
                State::Written { from, to } => splice.insert_written(entry.field, from as usize, to as usize),
            }
        }
        if holder + 1 == self.holders.len() {
            let last = if start < end { self.entries[end - 1].field } else { inside };
            // New attributes mostly stand behind each other among what was written: they are inserted as one.
            let mut run = 0..0;
            for entry in &self.entries[end..] {
                if let State::Written { from, to } = entry.state {
                    let (from, to) = (from as usize, to as usize);
                    if run.end != from {
                        if !run.is_empty() {
                            splice.insert_written(&last[last.len()..], run.start, run.end);
                        }
                        run.start = from;
                    }
                    run.end = to;
                }
            }
            if !run.is_empty() {
                splice.insert_written(&last[last.len()..], run.start, run.end);
            }
        }
    }

    /// Makes a message of the new attributes.
    pub(super) fn insert_message(&self, splice: &mut Splice<'a>, place: &'a [u8], number: u32) {
        let mut message = Writer::new();
        message.message(number, |message| {
            for entry in &self.entries {
                message.raw(entry.now(splice.writer().as_slice()));
            }
        });
        splice.insert(place, message.as_slice());
    }
}

impl Entry<'_> {
    /// Whether it is there and of that key.
    #[inline(always)]
    fn is(&self, key: &str, written: &[u8]) -> bool {
        match self.state {
            State::Kept => self.key == key.as_bytes(),
            State::Gone => false,
            State::Written { .. } => self.is_written(key, written),
        }
    }

    fn is_written(&self, key: &str, written: &[u8]) -> bool {
        read_key(inside(self.now(written))) == Ok(key.as_bytes())
    }

    /// The field as it is now; empty when it is gone.
    #[inline]
    fn now<'s>(&'s self, written: &'s [u8]) -> &'s [u8] {
        match self.state {
            State::Kept => self.field,
            State::Gone => &[],
            State::Written { from, to } => &written[from as usize..to as usize],
        }
    }
}

/// Reads one field of an unusual form.
#[cold]
#[inline(never)]
fn next_field<'a>(rest: &mut &'a [u8]) -> Result<Option<Field<'a>>, WireError> {
    let mut fields = Fields::new(rest);
    let field = fields.next().transpose();
    *rest = fields.rest();
    field
}

/// What is inside a field that has been read before.
fn inside(field: &[u8]) -> &[u8] {
    Fields::new(field).next().and_then(Result::ok).and_then(|field| field.value.bytes().ok()).unwrap_or_default()
}

/// The key of a serialized `KeyValue`.
#[inline(always)]
fn read_key(inside: &[u8]) -> Result<&[u8], WireError> {
    // As nearly everyone writes it: a short key, then the value and nothing more.
    if let [0x0a, len @ 0..0x80, rest @ ..] = inside
        && let Some((key, [0x12, len @ 0..0x80, value @ ..])) = rest.split_at_checked(usize::from(*len))
        && value.len() == usize::from(*len)
    {
        return Ok(key);
    }
    read_unusual_key(inside)
}

fn read_unusual_key(inside: &[u8]) -> Result<&[u8], WireError> {
    let mut key: &[u8] = &[];
    for field in Fields::new(inside) {
        let field = field?;
        if field.number == key_value::KEY {
            key = field.value.bytes()?;
        }
    }
    Ok(key)
}
