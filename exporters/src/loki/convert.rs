//! From OTLP log records to Loki's streams and entries.

use std::collections::HashMap;
use std::rc::Rc;

use pipeline::otlp::WireError;
use pipeline::otlp::view::{AnyValue, KeyValue, LogRecord, ResourceGroup, ScopeGroup, View, resources};
use pipeline::otlp::wire::utf8;
use pipeline::{Batch, Known};

use super::MOST_ROOM;
use super::adjusted::Adjusted;
use super::alike::{Goes, Kinds};
use super::config::{Config, Format, LongLines, StructuredMetadata};
use super::entry::{Entry, Line, Span};
use super::hints::{self, Hints};
use super::ids::Ids;
use super::line::{Around, pieces};
use super::listed::Listed;
use super::metadata::Metadata;
use super::newest::{Times, is_behind};
use super::origin::{Origin, is_attribute_label, is_tenant};
use super::place::{Place, is_same};
use super::preset::IdPlaces;
use super::streams::{StreamId, Streams};
use crate::dropped::Dropped;

/// Streams that are remembered for a resource; more are looked up by their labels.
const MOST_REMEMBERED: usize = 256;
/// The most bytes that the entries of a batch take.
const MOST_BYTES: usize = 256 << 20;

/// Converts a batch of logs, and counts the records for which there is no room. Records without any time get `now`,
/// nanoseconds since 1970. `times` is how far the streams have come. What is no record's body is written into `buffer`.
///
/// # Errors
/// When it is malformed.
pub fn convert<'a>(
    config: &Config,
    adjusted: &Adjusted,
    batch: &'a Batch,
    now: u64,
    times: &Times,
    buffer: Vec<u8>,
) -> Result<(Streams<'a>, Dropped), WireError> {
    let mut converter = Converter {
        config,
        adjusted,
        now,
        times,
        backfill_window: u64::try_from(config.backfill_window.get().as_nanos()).unwrap_or(u64::MAX),
        resource: Vec::new(),
        resource_hints: Rc::default(),
        skips_shown: false,
        scope: ("", ""),
        kinds: Kinds::default(),
        attributes: Vec::new(),
        seen: None,
        key: String::new(),
        line: String::new(),
        metadata: Metadata::default(),
        listed: Listed::default(),
        id_places: IdPlaces::default(),
        remembered: HashMap::new(),
        last: None,
        out: Streams::onto(buffer, batch.items().min(MOST_ROOM)),
        known: batch.known(),
        dropped: Dropped::default(),
    };
    for part in batch.parts() {
        for group in resources(part) {
            converter.group(group?)?;
        }
    }
    let mut out = converter.out;
    out.order(config.unique_timestamps);
    Ok((out, converter.dropped))
}

struct Converter<'a, 's> {
    config: &'s Config,
    adjusted: &'s Adjusted,
    now: u64,
    times: &'s Times,
    /// Nanoseconds, or 0.
    backfill_window: u64,
    /// Attributes of the resource, without hints.
    resource: Vec<KeyValue<'a>>,
    resource_hints: Rc<Hints>,
    /// Whether attributes that the line is known to show are not even read.
    skips_shown: bool,
    known: Known,
    /// Name and version.
    scope: (&'a str, &'a str),
    /// Of the records of the scope.
    kinds: Kinds<'a>,
    /// Attributes of the record, without hints.
    attributes: Vec<KeyValue<'a>>,
    /// One of the record before: where records show their attributes, those beside are the same from record to record.
    seen: Option<KeyValue<'a>>,
    /// What decides the stream of a record, beside its resource.
    key: String,
    line: String,
    metadata: Metadata,
    /// Which attributes the line shows.
    listed: Listed,
    /// Where it has its trace id.
    id_places: IdPlaces,
    /// Streams of the resource by key.
    remembered: HashMap<String, Rc<Place<'a>>>,
    /// The one of the record before.
    last: Option<(String, Rc<Place<'a>>)>,
    out: Streams<'a>,
    dropped: Dropped,
}

impl<'a> Converter<'a, '_> {
    fn group(&mut self, group: ResourceGroup<'a>) -> Result<(), WireError> {
        self.remembered.clear();
        self.last = None;
        self.resource.clear();
        let mut hints = Hints::default();
        for attribute in group.attributes() {
            let attribute = attribute?;
            if !hints.take(&attribute)? {
                self.resource.push(attribute);
            }
        }
        self.skips_shown = self.known.shown_last
            && self.config.structured_metadata == StructuredMetadata::NotInLine
            && self.config.attribute_labels.is_empty()
            && hints.format.unwrap_or(self.config.format) == Format::Raw
            && hints.attribute_labels.is_empty()
            && hints.tenant.is_empty();
        self.resource_hints = Rc::new(hints);
        for scope in group.scopes() {
            self.scope_records(scope?)?;
        }
        Ok(())
    }

    fn scope_records(&mut self, scope: ScopeGroup<'a>) -> Result<(), WireError> {
        let is_in_front = self.known.scopes_first;
        self.scope = if is_in_front { scope.leading_name_and_version() } else { scope.name_and_version() }?;
        self.kinds.clear();
        for record in scope.items::<&[u8]>() {
            let record = record?;
            if self.has_room() && self.goes_like_another(record) {
                continue;
            }
            let (record, hints, knows_shown) = self.read(record)?;
            self.record(&record, &hints, knows_shown)?;
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        self.out.byte_len() <= MOST_BYTES
    }

    /// Adds a record that goes where one before it went, which need not be read; or says that it must be.
    #[inline]
    fn goes_like_another(&mut self, record: &'a [u8]) -> bool {
        let Some((own, goes)) = self.kinds.find(record) else { return false };
        let is_usual = own.time != 0
            && own.body.len() <= self.config.max_line_bytes
            && !self.is_behind(goes.newest, own.time)
            && (self.known.texts || utf8(own.body).is_ok())
            && self.config.preset.is_none_or(|preset| preset.is_complete(own.body, own.ids.trace, &mut self.id_places));
        if is_usual {
            self.out.push(goes.stream, Entry::new(own.time, Line::Body(own.body), own.ids, goes.metadata, true));
        }
        is_usual
    }

    /// Whether an entry is too old for a stream that has come so far.
    fn is_behind(&self, newest: Option<u64>, time: u64) -> bool {
        self.backfill_window > 0 && is_behind(newest, time, self.backfill_window)
    }

    /// A record with its hints, its attributes aside; and whether those that its line shows are left out by now.
    fn read(&mut self, record: &'a [u8]) -> Result<(LogRecord<'a>, Rc<Hints>, bool), WireError> {
        if self.skips_shown {
            self.attributes.clear();
            let (attributes, seen) = (&mut self.attributes, &mut self.seen);
            let record = LogRecord::until_body(record, |attribute| {
                attributes.push(view_once(attribute, seen)?);
                Ok(())
            })?;
            if !self.attributes.iter().any(|attribute| hints::may_be(attribute.key.as_bytes())) {
                return Ok((record, Rc::clone(&self.resource_hints), true));
            }
        }
        self.attributes.clear();
        let record = LogRecord::with_attributes(record, &mut self.attributes)?;
        if !self.attributes.iter().any(|attribute| hints::may_be(attribute.key.as_bytes())) {
            return Ok((record, Rc::clone(&self.resource_hints), false));
        }
        let mut hints = Hints::default();
        let mut at = 0;
        while let Some(attribute) = self.attributes.get(at) {
            if hints.take(attribute)? {
                self.attributes.remove(at);
            } else {
                at += 1;
            }
        }
        Ok((record, Rc::new(hints.over(&self.resource_hints)), false))
    }

    fn record(&mut self, record: &LogRecord<'a>, hints: &Hints, knows_shown: bool) -> Result<(), WireError> {
        if !self.has_room() {
            // What a resource says is written for each of its records: a small request can ask for very large pushes.
            let message = "the entries of one batch would take more than 256 MiB, send fewer records at once";
            self.dropped.add("expansion_limit", message, 1);
            return Ok(());
        }
        let place = self.place(record, hints)?;
        let Some(mut stream) = place.stream else {
            let message = "a tenant's name has letters, digits and !-_.*'() in it, at most 150 of them";
            self.dropped.add("bad_tenant", message, 1);
            return Ok(());
        };
        let time = self.time(record);
        let mut moved = None;
        if self.is_behind(place.newest, time) {
            let (backfill, left_out) = place.backfill(self.config, &mut self.out);
            (stream, moved) = (*backfill, left_out.as_ref());
            self.adjusted.backfilled();
        }
        let config = self.config;
        let has_level = config.default_labels_enabled.level;
        let is_level = |a: &KeyValue<'_>| has_level && a.key == "level" && a.value.as_text().is_some();
        self.attributes.retain(|a| !is_attribute_label(config, hints, a.key) && !is_level(a));
        let format = hints.format.unwrap_or(config.format);
        let mut written = std::mem::take(&mut self.line);
        let body = self.body(record, format)?;
        let line = match body {
            Some(text) => text,
            None => self.write_line(&mut written, record, &place, format)?,
        };
        if format == Format::Raw && config.structured_metadata == StructuredMetadata::NotInLine && !knows_shown {
            self.listed.take_out(line, &mut self.attributes);
        }
        let ids =
            if config.structured_metadata == StructuredMetadata::None { Ids::default() } else { Ids::of(record)? };
        let (metadata, is_common) = self.metadata(record, ids, &place, moved, format)?;
        if knows_shown && is_common && place.stream == Some(stream) {
            self.kinds.remember(record.raw, ids.which(), Goes { stream, newest: place.newest, metadata });
        }
        let entry = match body {
            Some(text) => Line::Body(text.as_bytes()),
            None => self.out.written(|w| w.raw(line.as_bytes())),
        };
        self.entries(stream, time, (line.as_bytes(), entry), ids, metadata);
        self.line = written;
        Ok(())
    }

    /// The structured metadata of a record, its ids apart, and whether every record like it has the same. What is the same as
    /// that of the record before is written once.
    fn metadata(
        &mut self,
        record: &LogRecord<'a>,
        ids: Ids<'a>,
        place: &Place<'a>,
        moved: Option<&(String, String)>,
        format: Format,
    ) -> Result<(Span, bool), WireError> {
        if matches!(self.config.structured_metadata, StructuredMetadata::None | StructuredMetadata::Ids) {
            return Ok((Span::default(), false));
        }
        let is_usual = moved.is_none() && format == Format::Raw;
        if is_usual && let Some(known) = place.known(record, ids, self.scope, &self.attributes) {
            return Ok((known, true));
        }
        self.metadata.clear();
        self.metadata.add_ids(ids);
        let behind_ids = self.metadata.encoded().len();
        self.metadata.add_record(record);
        place.moved.iter().chain(moved).for_each(|(name, value)| self.metadata.add(name, value));
        if format == Format::Raw {
            self.metadata.add_around(&around(record, &self.attributes, place, self.scope))?;
        }
        let span = self.out.write(|w| w.raw(&self.metadata.encoded()[behind_ids..]));
        self.adjusted.metadata_dropped(self.metadata.left_out());
        let is_common = is_usual && self.metadata.left_out() == 0;
        if is_common {
            place.remember(record, ids, self.scope, &self.attributes, span);
        }
        Ok((span, is_common))
    }

    /// The body of a record, where that is text and complete, and so is its line.
    fn body(&mut self, record: &LogRecord<'a>, format: Format) -> Result<Option<&'a str>, WireError> {
        match record.body {
            AnyValue::Text(text) if format == Format::Raw => {
                let Some(preset) = self.config.preset else { return Ok(Some(text)) };
                Ok(preset
                    .is_complete(text.as_bytes(), record.trace_id()?.as_ref(), &mut self.id_places)
                    .then_some(text))
            }
            _ => Ok(None),
        }
    }

    /// The line of a record whose body is none.
    fn write_line<'w>(
        &self,
        line: &'w mut String,
        record: &LogRecord<'a>,
        place: &Place<'a>,
        format: Format,
    ) -> Result<&'w str, WireError> {
        line.clear();
        around(record, &self.attributes, place, self.scope).write(line, format)?;
        if let Some(preset) = self.config.preset {
            preset.complete(line, record)?;
        }
        Ok(line)
    }

    /// When it was, or else the present.
    fn time(&self, record: &LogRecord<'_>) -> u64 {
        match record.time_or_observed() {
            0 => {
                self.adjusted.time_missing();
                self.now
            }
            time => time,
        }
    }

    /// Adds the record, as several entries where its line, of that text, is too long.
    fn entries(&mut self, stream: StreamId, time: u64, (text, line): (&[u8], Line<'a>), ids: Ids<'a>, metadata: Span) {
        let max = self.config.max_line_bytes;
        if text.len() <= max {
            self.out.push(stream, Entry::new(time, line, ids, metadata, true));
            return;
        }
        self.adjusted.line_too_long(self.config.long_lines);
        let most = match self.config.long_lines {
            LongLines::Split => usize::MAX,
            LongLines::Cut => 1,
        };
        for (i, piece) in (0u64..).zip(pieces(text, max).take(most)) {
            let time = time.saturating_add(i);
            self.out.push(stream, Entry::new(time, line.part(piece), ids, metadata, i == 0));
        }
    }

    /// The stream of a record.
    fn place(&mut self, record: &LogRecord<'a>, hints: &Hints) -> Result<Rc<Place<'a>>, WireError> {
        let (config, attributes, resource) = (self.config, &self.attributes, &self.resource);
        let origin = Origin { config, hints, record, attributes, resource };
        self.key.clear();
        origin.write_key(&mut self.key)?;
        if let Some((key, place)) = &self.last
            && *key == self.key
        {
            return Ok(Rc::clone(place));
        }
        let place = match self.remembered.get(&self.key) {
            Some(place) => Rc::clone(place),
            None => {
                let (labels, moved) = origin.labels()?;
                self.adjusted.labels_moved(&moved, config.max_labels);
                let tenant = origin.tenant()?;
                let stream = is_tenant(&tenant).then(|| self.out.stream(&tenant, labels.clone().into_text()));
                let newest = stream.and_then(|stream| self.times.of(self.out.key(stream)));
                let place = Rc::new(Place::new((stream, newest), tenant, labels, moved, origin.resource_beside()));
                if self.remembered.len() < MOST_REMEMBERED {
                    self.remembered.insert(self.key.clone(), Rc::clone(&place));
                }
                place
            }
        };
        let (key, last) = self.last.get_or_insert_with(|| (String::new(), Rc::clone(&place)));
        key.clone_from(&self.key);
        *last = Rc::clone(&place);
        Ok(place)
    }
}

/// An attribute, read unless it is the one that was `seen` last.
fn view_once<'a>(raw: &'a [u8], seen: &mut Option<KeyValue<'a>>) -> Result<KeyValue<'a>, WireError> {
    match seen {
        Some(known) if is_same(known.raw, raw) => Ok(*known),
        _ => KeyValue::view(raw).inspect(|attribute| *seen = Some(*attribute)),
    }
}

/// A record with what stands around it.
fn around<'r, 'a>(
    record: &'r LogRecord<'a>,
    attributes: &'r [KeyValue<'a>],
    place: &'r Place<'a>,
    scope: (&'a str, &'a str),
) -> Around<'r, 'a> {
    Around { record, attributes, resource: &place.resource, scope }
}
