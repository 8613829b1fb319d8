//! Log records as OTLP bytes: requests of one resource and scope each, grown record by record, and the batch they make.

use std::sync::Arc;

use pipeline::buffers::Buffers;
use pipeline::otlp::fields::{log_record, request, resource, resource_group, scope, scope_group};
use pipeline::otlp::hex::from_hex;
use pipeline::otlp::wire::{LEN, varint_len, write_varint};
use pipeline::otlp::write::{Open, Scalar, Writer};
use pipeline::{Batch, Known, Signal};

use super::jsonl::{Fields, Reader};
use super::severity::Severity;

/// What the records of one request share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The fields of `ResourceLogs` and of `ScopeLogs` that stand before the records.
    resource: Vec<u8>,
    scope: Vec<u8>,
}

impl Group {
    /// Records of this resource, given as the inside of a `Resource`, and scope name.
    pub fn new(resource_message: &[u8], scope_name: &str) -> Group {
        let mut resource = Writer::new();
        if !resource_message.is_empty() {
            resource.bytes(resource_group::RESOURCE, resource_message);
        }
        let mut scope_field = Writer::new();
        scope_field.message(scope_group::SCOPE, |w| w.text(scope::NAME, scope_name));
        Group { resource: resource.into_vec(), scope: scope_field.into_vec() }
    }

    /// The inside of a `Resource` with these text attributes.
    pub fn resource_of<'a>(attributes: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
        let mut w = Writer::new();
        for (key, value) in attributes {
            w.attribute(resource::ATTRIBUTES, key, Scalar::Text(value));
        }
        w.into_vec()
    }
}

/// Requests that grow. Records of the same group stay in the order they came.
#[derive(Debug)]
pub struct Requests {
    growing: Vec<Growing>,
    items: usize,
    bytes: usize,
    buffers: Buffers,
    /// Bytes of the request that was finished last: the next one may be as large.
    last: usize,
    /// Whether, of all records so far, what stands behind the body is what that shows: see [`Known::shown_last`].
    shown_last: bool,
    reader: Option<Box<Reader>>,
}

impl Default for Requests {
    fn default() -> Requests {
        let (growing, buffers) = (Vec::new(), Buffers::default());
        Requests { growing, items: 0, bytes: 0, buffers, last: 0, shown_last: true, reader: None }
    }
}

#[derive(Debug)]
struct Growing {
    group: Arc<Group>,
    /// The records as fields of `ScopeLogs`, behind room for what comes before them.
    records: Writer,
    room: usize,
}

/// How many growing requests are searched for the group of a record; beyond, a new one is begun.
const SEARCHED: usize = 16;

impl Requests {
    /// Records in it.
    pub fn items(&self) -> usize {
        self.items
    }

    /// Bytes of records in it.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Begins a record of that group. Finish it with [`Record::end`]; dropped before that, it leaves nothing.
    pub fn record<'a>(&'a mut self, group: &Arc<Group>) -> Record<'a> {
        let same = |g: &Growing| Arc::ptr_eq(&g.group, group) || g.group == *group;
        let found = self.growing.iter().rev().take(SEARCHED).position(same);
        let index = match found {
            Some(back) => self.growing.len() - 1 - back,
            None => {
                let room = 4 * (1 + varint_len(u64::MAX)) + group.resource.len() + group.scope.len();
                let mut buffer = self.buffers.take(room.max(self.last));
                buffer.resize(room, 0);
                let records = Writer::onto(buffer);
                self.growing.push(Growing { group: group.clone(), records, room });
                self.growing.len() - 1
            }
        };
        let writer = &mut self.growing[index].records;
        let before = writer.len();
        let open = Some(writer.open_long(scope_group::ITEMS));
        let (items, bytes, shown_last) = (&mut self.items, &mut self.bytes, &mut self.shown_last);
        Record { writer, open, before, items, bytes, shown_last }
    }

    /// The reader of lines whose fields are taken in this way, with what it remembers of those before. To be given back with
    /// [`Requests::keep`].
    pub fn reader(&mut self, fields: Fields) -> Box<Reader> {
        self.reader.take().filter(|reader| reader.fields() == fields).unwrap_or_else(|| Box::new(Reader::new(fields)))
    }

    /// Keeps a reader for the next line.
    pub fn keep(&mut self, reader: Box<Reader>) {
        self.reader = Some(reader);
    }

    /// The batch of everything so far; begins anew.
    pub fn take(&mut self) -> Batch {
        let items = std::mem::take(&mut self.items);
        self.bytes = 0;
        self.last = self.growing.iter().map(|g| g.records.len()).max().unwrap_or(0);
        let whole = self.growing.drain(..).filter(|g| g.records.len() > g.room);
        let batch = Batch::from_parts(Signal::Logs, whole.map(|g| g.finish(&self.buffers)), items);
        let shown_last = std::mem::replace(&mut self.shown_last, true);
        batch.with_known(Known { texts: true, scopes_first: true, shown_last })
    }
}

impl Growing {
    /// The whole request: what comes before the records is written into the room in front of them.
    fn finish(self, buffers: &Buffers) -> bytes::Bytes {
        let Growing { group, records, room } = self;
        let records_len = records.len() - room;
        let scope_logs = group.scope.len() + records_len;
        let resource_logs = group.resource.len() + 1 + varint_len(scope_logs as u64) + scope_logs;
        let mut head = Vec::with_capacity(room);
        key_and_len(&mut head, request::RESOURCES, resource_logs);
        head.extend_from_slice(&group.resource);
        key_and_len(&mut head, resource_group::SCOPES, scope_logs);
        head.extend_from_slice(&group.scope);
        let mut all = records.into_vec();
        let start = room - head.len();
        all[start..room].copy_from_slice(&head);
        buffers.lend(all).slice(start..)
    }
}

fn key_and_len(out: &mut Vec<u8>, number: u32, len: usize) {
    write_varint(out, u64::from(number << 3 | LEN));
    write_varint(out, len as u64);
}

/// A log record that is being written: any fields of `LogRecord`, in any order, each once.
#[derive(Debug)]
pub struct Record<'a> {
    writer: &'a mut Writer,
    open: Option<Open>,
    before: usize,
    items: &'a mut usize,
    bytes: &'a mut usize,
    shown_last: &'a mut bool,
}

impl Record<'_> {
    /// When it happened, if that is known, and when it was read.
    #[inline]
    pub fn times(&mut self, time: Option<u64>, observed: u64) {
        if let Some(time) = time {
            self.writer.fixed64(log_record::TIME, time);
        }
        self.writer.fixed64(log_record::OBSERVED_TIME, observed);
    }

    /// How bad it is, in OTLP's numbers and in the program's word.
    #[inline]
    pub fn severity(&mut self, severity: Severity, text: &str) {
        if severity.0 != 0 {
            self.writer.varint(log_record::SEVERITY_NUMBER, u64::from(severity.0));
        }
        self.writer.text_unless_empty(log_record::SEVERITY_TEXT, text);
    }

    /// A body without inner structure.
    #[inline]
    pub fn body(&mut self, body: Scalar<'_>) {
        self.writer.any_value(log_record::BODY, body);
    }

    /// An attribute without inner structure. Its key must not be there yet.
    #[inline]
    pub fn attribute(&mut self, key: &str, value: Scalar<'_>) {
        self.writer.attribute(log_record::ATTRIBUTES, key, value);
    }

    /// Its body shows attributes that stand before it, or what stands behind it says how the record is to be treated.
    pub fn mixes(&mut self) {
        *self.shown_last = false;
    }

    /// Trace context. A span id without a trace id says nothing and is left out, flags likewise.
    pub fn trace(&mut self, trace_id: Option<[u8; 16]>, span_id: Option<[u8; 8]>, flags: Option<u8>) {
        let Some(trace_id) = trace_id else { return };
        self.writer.bytes(log_record::TRACE_ID, &trace_id);
        if let Some(span_id) = span_id {
            self.writer.bytes(log_record::SPAN_ID, &span_id);
        }
        if let Some(flags) = flags {
            self.writer.fixed32(log_record::FLAGS, u32::from(flags));
        }
    }

    /// Attributes that the line has and the record has not.
    pub fn dropped_attributes(&mut self, count: u64) {
        if count > 0 {
            self.writer.varint(log_record::DROPPED_ATTRIBUTES_COUNT, count);
        }
    }

    /// The writer, for whatever else.
    pub fn writer(&mut self) -> &mut Writer {
        self.writer
    }

    /// The record is whole.
    #[inline]
    pub fn end(mut self) {
        if let Some(open) = self.open.take() {
            self.writer.close(open);
            *self.items += 1;
            *self.bytes += self.writer.len() - self.before;
        }
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        if self.open.is_some() {
            self.writer.truncate(self.before);
        }
    }
}

/// The 16 bytes of a trace id written as 32 hex digits; none for all zeros.
pub fn trace_id(text: &str) -> Option<[u8; 16]> {
    from_hex(text).filter(|id| *id != [0; 16])
}

/// The 8 bytes of a span id written as 16 hex digits; none for all zeros. Decimal ids of other lengths are none.
pub fn span_id(text: &str) -> Option<[u8; 8]> {
    from_hex(text).filter(|id| *id != [0; 8])
}

/// Trace flags written as two hex digits.
pub fn trace_flags(text: &str) -> Option<u8> {
    from_hex::<1>(text).map(|[flags]| flags)
}

#[cfg(test)]
mod tests {
    use pipeline::otlp::view::{LogRecord, resources};

    use super::*;

    fn bodies(batch: &Batch) -> Vec<Vec<String>> {
        let text = |record: LogRecord<'_>| record.body.as_text().unwrap().to_owned();
        let scopes = |part| resources(part).flat_map(|r| r.unwrap().scopes()).map(Result::unwrap);
        batch
            .parts()
            .iter()
            .map(|part| scopes(part).flat_map(|s| s.items::<LogRecord<'_>>()).map(|r| text(r.unwrap())).collect())
            .collect()
    }

    fn write(requests: &mut Requests, group: &Arc<Group>, body: &str) {
        let mut record = requests.record(group);
        record.body(Scalar::Text(body));
        record.end();
    }

    #[test]
    fn records_of_one_group_make_one_request_in_order() {
        let group = Arc::new(Group::new(&Group::resource_of([("service.name", "frontend")]), "slipring/file_log"));
        let mut requests = Requests::default();
        for body in ["one", &"two".repeat(100_000), "three"] {
            write(&mut requests, &group, body);
        }
        let batch = requests.take();
        assert_eq!(batch.items(), 3);
        assert_eq!(Batch::new(Signal::Logs, batch.to_bytes()).unwrap().items(), 3);
        assert_eq!(bodies(&batch), [["one", &"two".repeat(100_000), "three"]]);
        let resource = resources(&batch.parts()[0]).next().unwrap().unwrap();
        assert_eq!(resource.attributes().find("service.name").unwrap().unwrap().as_text(), Some("frontend"));
        let scope = resource.scopes().next().unwrap().unwrap();
        assert_eq!(scope.name_and_version().unwrap().0, "slipring/file_log");
        assert_eq!((requests.items(), requests.bytes(), requests.take().is_empty()), (0, 0, true));
    }

    #[test]
    fn records_of_other_groups_make_requests_of_their_own() {
        let a = Arc::new(Group::new(b"", "a"));
        let b = Arc::new(Group::new(b"", "b"));
        let mut requests = Requests::default();
        for (group, body) in [(&a, "1"), (&b, "2"), (&a, "3"), (&Arc::new((*b).clone()), "4")] {
            write(&mut requests, group, body);
        }
        assert_eq!(bodies(&requests.take()), [["1", "3"], ["2", "4"]]);
    }

    #[test]
    fn a_record_that_is_not_ended_leaves_nothing() {
        let group = Arc::new(Group::new(b"", "a"));
        let mut requests = Requests::default();
        requests.record(&group).body(Scalar::Text("gone"));
        assert!(requests.take().is_empty());
        write(&mut requests, &group, "kept");
        requests.record(&group).body(Scalar::Text("gone"));
        write(&mut requests, &group, "too");
        assert_eq!(bodies(&requests.take()), [["kept", "too"]]);
    }

    #[test]
    fn ids_are_hex_of_the_right_length_and_not_zero() {
        assert_eq!(trace_id("4bf92f3577b34da6a3ce929d0e0e4736").map(|id| id[..2].to_vec()), Some(vec![0x4b, 0xf9]));
        assert_eq!(trace_id("4BF92F3577B34DA6A3CE929D0E0E4736").map(|id| id[0]), Some(0x4b));
        assert_eq!(span_id("bb984f8a387a4d39").map(|id| id[7]), Some(0x39));
        for bad in ["", "549755813889", "bb984f8a387a4d3g", "0000000000000000", "bb984f8a387a4d390", "é984f8a387a4d39"]
        {
            assert_eq!(span_id(bad), None, "{bad}");
        }
        assert_eq!(trace_id(&"0".repeat(32)), None);
        assert_eq!((trace_flags("01"), trace_flags("1"), trace_flags("+1")), (Some(1), None, None));
    }
}
