//! Where a record goes: its stream, with what all records of the stream have in common.

use std::cell::{OnceCell, RefCell};

use pipeline::otlp::view::{KeyValue, LogRecord};

use super::config::Config;
use super::entry::Span;
use super::ids::Ids;
use super::labels::Labels;
use super::streams::{StreamId, Streams};

/// The stream of a record.
pub struct Place<'a> {
    /// `None` where nobody can be the tenant.
    pub stream: Option<StreamId>,
    /// How far the stream has come.
    pub newest: Option<u64>,
    /// Whose it is.
    pub tenant: String,
    /// Its labels.
    pub labels: Labels,
    /// The stream for entries that are too old for this one, and the label for which it has no room.
    backfill: OnceCell<(StreamId, Option<(String, String)>)>,
    /// Labels for which there was no room.
    pub moved: Vec<(String, String)>,
    /// The resource's attributes that are not labels.
    pub resource: Vec<KeyValue<'a>>,
    /// The structured metadata of the last record without a trace id and of the last with one, without their ids.
    last: RefCell<[Option<Common<'a>>; 2]>,
}

/// Structured metadata that records have in common, and what it was made of beside the place.
struct Common<'a> {
    span: Span,
    /// Which ids stand before it: what has the name of one is left out.
    ids: (bool, bool),
    scope: (&'a str, &'a str),
    severity: (u32, &'a str),
    event_name: &'a str,
    /// The attributes that are stored.
    attributes: Vec<&'a [u8]>,
}

/// Whether two texts are the same. To compare nothing with nothing takes the C library hundreds of nanoseconds on some
/// processors, where it does so under a mask at a place that is none.
pub fn is_same<T: AsRef<[u8]> + ?Sized>(a: &T, b: &T) -> bool {
    let (a, b) = (a.as_ref(), b.as_ref());
    a.len() == b.len() && (a.is_empty() || a == b)
}

impl<'a> Place<'a> {
    /// A place for which there is no other stream yet.
    pub fn new(
        (stream, newest): (Option<StreamId>, Option<u64>),
        tenant: String,
        labels: Labels,
        moved: Vec<(String, String)>,
        resource: Vec<KeyValue<'a>>,
    ) -> Place<'a> {
        let (backfill, last) = (OnceCell::new(), RefCell::default());
        Place { stream, newest, tenant, labels, backfill, moved, resource, last }
    }

    /// The stream for entries that are too old.
    pub fn backfill(&self, config: &Config, out: &mut Streams<'a>) -> &(StreamId, Option<(String, String)>) {
        self.backfill.get_or_init(|| {
            let mut labels = self.labels.clone();
            let left_out = labels.add_backfill(config.max_labels);
            (out.stream(&self.tenant, labels.into_text()), left_out)
        })
    }

    /// Where the metadata of such a record was written, if it was the last.
    pub fn known(
        &self,
        record: &LogRecord<'a>,
        ids: Ids<'a>,
        scope: (&str, &str),
        attributes: &[KeyValue<'a>],
    ) -> Option<Span> {
        let last = self.last.borrow();
        let last = last[usize::from(ids.which().0)].as_ref()?;
        let alike = last.ids == ids.which()
            && last.severity.0 == record.severity_number
            && is_same(last.severity.1, record.severity_text)
            && is_same(last.event_name, record.event_name)
            && is_same(last.scope.0, scope.0)
            && is_same(last.scope.1, scope.1)
            && last.attributes.len() == attributes.len()
            && last.attributes.iter().zip(attributes).all(|(known, attribute)| is_same(*known, attribute.raw));
        alike.then_some(last.span)
    }

    /// The metadata of such a record was written there.
    pub fn remember(
        &self,
        record: &LogRecord<'a>,
        ids: Ids<'a>,
        scope: (&'a str, &'a str),
        attributes: &[KeyValue<'a>],
        span: Span,
    ) {
        let last = &mut self.last.borrow_mut()[usize::from(ids.which().0)];
        let mut kept = last.take().map(|last| last.attributes).unwrap_or_default();
        kept.clear();
        kept.extend(attributes.iter().map(|attribute| attribute.raw));
        *last = Some(Common {
            span,
            ids: ids.which(),
            scope,
            severity: (record.severity_number, record.severity_text),
            event_name: record.event_name,
            attributes: kept,
        });
    }
}
