//! The attributes of one message while they are being edited.

use super::super::fields::key_value;
use super::super::place::Place;
use super::super::splice::Splice;
use super::super::view::{AnyValue, KeyValue, View};
use super::super::wire::{Field, Fields, WireError, read_varint};
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

/// The attributes of a resource, scope, item or data point.
///
/// Where a key occurs more than once, writing leaves one, in the place of the first; deleting takes all away; reading
/// finds the last, as most readers do. New attributes stand behind the others. Keys and values are read when asked for,
/// so a malformed attribute is an error of the first method that meets it.
#[derive(Debug)]
pub struct Attributes<'a> {
    place: Place<'a>,
    message: &'a [u8],
    /// The inside of the messages that hold the attributes: one, or as often as a resource or scope occurs.
    holders: smallvec::SmallVec<[&'a [u8]; 1]>,
    number: u32,
    entries: Vec<Entry<'a>>,
    is_loaded: bool,
    is_changed: bool,
    /// How many entries have been handed to the splice.
    patched: usize,
    written: Writer,
}

#[derive(Clone, Copy, Debug)]
struct Entry<'a> {
    /// The attribute as it stands, key and length of its field included; empty for a new one.
    field: &'a [u8],
    /// The inside of that field.
    inside: &'a [u8],
    key: &'a [u8],
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Kept,
    Gone,
    /// The field among what was written.
    Written {
        from: usize,
        to: usize,
    },
}

impl<'a> Attributes<'a> {
    pub(super) fn new() -> Attributes<'a> {
        Attributes {
            place: Place::at(&[], 0),
            message: &[],
            holders: smallvec::SmallVec::new(),
            number: 0,
            entries: Vec::new(),
            is_loaded: false,
            is_changed: false,
            patched: 0,
            written: Writer::new(),
        }
    }

    /// Begins with the attributes in field `number` of one message.
    #[inline]
    pub(super) fn begin(&mut self, place: &Place<'a>, message: &'a [u8], number: u32) {
        self.reset(place, message, number);
        self.holders.push(message);
    }

    /// Begins with the attributes in field `number` of a message that may occur any number of times.
    pub(super) fn begin_all(
        &mut self,
        place: &Place<'a>,
        occurrences: &[Field<'a>],
        number: u32,
    ) -> Result<(), WireError> {
        let holders = occurrences.iter().map(|field| field.value.bytes());
        self.reset(place, &[], number);
        for holder in holders {
            self.message = holder?;
            self.holders.push(self.message);
        }
        Ok(())
    }

    #[inline]
    fn reset(&mut self, place: &Place<'a>, message: &'a [u8], number: u32) {
        self.place = *place;
        self.message = message;
        self.holders.clear();
        self.number = number;
        self.entries.clear();
        self.is_loaded = false;
        self.is_changed = false;
        self.patched = 0;
        self.written.clear();
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
        Ok(self.entries.iter().filter_map(|entry| entry.inside(written)).map(KeyValue::view))
    }

    /// The value of that key; the last, if there are several.
    pub fn find(&mut self, key: &str) -> Result<Option<AnyValue<'_>>, WireError> {
        self.load()?;
        let written = self.written.as_slice();
        let found = self.entries.iter().rev().find(|entry| entry.is(key, written));
        found.and_then(|entry| entry.inside(written)).map(|inside| Ok(KeyValue::view(inside)?.value)).transpose()
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
        if let State::Written { .. } = entry.state {
            let inside = entry.inside(written).map(<[u8]>::to_vec).unwrap_or_default();
            self.write(when, to, KeyValue::view(&inside)?.value)
        } else {
            self.write(when, to, KeyValue::view(entry.inside)?.value)
        }
    }

    /// Writes an attribute when the condition holds. Answers whether it did.
    pub fn write(&mut self, when: When, key: &str, value: AnyValue<'_>) -> Result<bool, WireError> {
        self.load()?;
        let Some(first) = self.entries.iter().position(|entry| entry.is(key, self.written.as_slice())) else {
            if when == When::Present {
                return Ok(false);
            }
            let state = self.field(key, value);
            self.entries.push(Entry { field: &[], inside: &[], key: &[], state });
            self.is_changed = true;
            return Ok(true);
        };
        if when == When::Absent {
            return Ok(false);
        }
        self.delete_from(first + 1, key);
        let new = self.field(key, value);
        let written = self.written.as_slice();
        if self.entries[first].field_bytes(written)
            == (Entry { state: new, ..self.entries[first] }).field_bytes(written)
        {
            return Ok(true);
        }
        self.entries[first].state = new;
        self.is_changed = true;
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
        for entry in &mut self.entries {
            if let Some(inside) = entry.inside(self.written.as_slice())
                && !keep(&KeyValue::view(inside)?)
            {
                entry.state = State::Gone;
                deleted += 1;
            }
        }
        self.is_changed |= deleted > 0;
        Ok(deleted)
    }

    fn delete_from(&mut self, first: usize, key: &str) -> bool {
        let mut found = false;
        for entry in &mut self.entries[first..] {
            if entry.is(key, self.written.as_slice()) {
                entry.state = State::Gone;
                found = true;
            }
        }
        self.is_changed |= found;
        found
    }

    #[inline]
    fn field(&mut self, key: &str, value: AnyValue<'_>) -> State {
        let from = self.written.len();
        self.written.attribute(self.number, key, value);
        State::Written { from, to: self.written.len() }
    }

    #[inline]
    fn load(&mut self) -> Result<(), WireError> {
        if self.is_loaded { Ok(()) } else { self.load_now() }
    }

    fn load_now(&mut self) -> Result<(), WireError> {
        for holder in &self.holders {
            for field in Fields::new(holder) {
                let field = field?;
                if field.number == self.number {
                    let inside = field.value.bytes()?;
                    let key = read_key(inside)?;
                    self.entries.push(Entry { field: field.raw, inside, key, state: State::Kept });
                }
            }
        }
        self.is_loaded = true;
        Ok(())
    }

    #[inline]
    pub(super) fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Patches what changed in one of the holders, in their order; new attributes go to the last.
    pub(super) fn patch(&mut self, splice: &mut Splice<'a>, holder: &'a [u8], is_last: bool) {
        let mut end = &holder[holder.len()..];
        while let Some(entry) = self.entries.get(self.patched)
            && !entry.field.is_empty()
            && holder.as_ptr_range().contains(&entry.field.as_ptr())
        {
            match entry.state {
                State::Kept => {}
                State::Gone => splice.remove(entry.field),
                State::Written { from, to } => splice.insert(entry.field, &self.written.as_slice()[from..to]),
            }
            end = &entry.field[entry.field.len()..];
            self.patched += 1;
        }
        if is_last {
            for entry in &self.entries[self.patched..] {
                if let State::Written { from, to } = entry.state {
                    splice.insert(end, &self.written.as_slice()[from..to]);
                }
            }
        }
    }

    /// The new attributes, for a message that has to be made for them.
    pub(super) fn new_message(&self, number: u32) -> Writer {
        let mut out = Writer::new();
        out.message(number, |out| {
            for entry in &self.entries {
                if let State::Written { from, to } = entry.state {
                    out.raw(&self.written.as_slice()[from..to]);
                }
            }
        });
        out
    }
}

impl<'a> Entry<'a> {
    /// Whether it is there and of that key.
    #[inline]
    fn is(&self, key: &str, written: &[u8]) -> bool {
        match self.state {
            State::Kept => self.key == key.as_bytes(),
            State::Gone => false,
            State::Written { .. } => {
                !self.field.is_empty() && self.key == key.as_bytes()
                    || self.inside(written).is_some_and(|inside| read_key(inside) == Ok(key.as_bytes()))
            }
        }
    }

    /// The `KeyValue` message, unless it is gone.
    fn inside<'s>(&'s self, written: &'s [u8]) -> Option<&'s [u8]> {
        match self.state {
            State::Kept => Some(self.inside),
            State::Gone => None,
            State::Written { from, to } => {
                Fields::new(&written[from..to]).next().and_then(|field| field.ok()?.value.bytes().ok())
            }
        }
    }

    /// The whole field, unless it is gone.
    fn field_bytes<'s>(&'s self, written: &'s [u8]) -> &'s [u8] {
        match self.state {
            State::Kept => self.field,
            State::Gone => &[],
            State::Written { from, to } => &written[from..to],
        }
    }
}

/// The key of a serialized `KeyValue`.
#[inline]
fn read_key(inside: &[u8]) -> Result<&[u8], WireError> {
    // As nearly everyone writes it: a short key, then the value and nothing more.
    if let [0x0a, len @ 0..0x80, rest @ ..] = inside
        && let Some((key, [0x12, value @ ..])) = rest.split_at_checked(usize::from(*len))
    {
        let mut at = 0;
        if let Ok(len) = read_varint(value, &mut at)
            && (value.len() - at) as u64 == len
        {
            return Ok(key);
        }
    }
    let mut key: &[u8] = &[];
    for field in Fields::new(inside) {
        let field = field?;
        if field.number == key_value::KEY {
            key = field.value.bytes()?;
        }
    }
    Ok(key)
}
