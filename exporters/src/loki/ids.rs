//! The ids of a record, and how they stand in an entry: as structured metadata in hexadecimal.

use pipeline::otlp::WireError;
use pipeline::otlp::hex::to_hex;
use pipeline::otlp::view::LogRecord;
use pipeline::otlp::write::Writer;

/// The ids of a record, as far as it has them. They stay where they are, in the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ids<'a> {
    /// Of the trace.
    pub trace: Option<&'a [u8; 16]>,
    /// Of the span in it.
    pub span: Option<&'a [u8; 8]>,
}

/// The names under which they stand.
pub const TRACE_ID: &str = "trace_id";
pub const SPAN_ID: &str = "span_id";

/// The fields of an `EntryAdapter` that they are, with room for the digits.
const TRACE_FIELD: [u8; 46] = *b"\x1a\x2c\x0a\x08trace_id\x12\x20--------------------------------";
const SPAN_FIELD: [u8; 29] = *b"\x1a\x1b\x0a\x07span_id\x12\x10----------------";

impl<'a> Ids<'a> {
    /// Those of a record.
    ///
    /// # Errors
    /// When they are of a wrong length.
    pub fn of(record: &LogRecord<'a>) -> Result<Ids<'a>, WireError> {
        Ok(Ids {
            trace: record.trace_id()?.and_then(|_| record.trace_id_bytes.try_into().ok()),
            span: record.span_id()?.and_then(|_| record.span_id_bytes.try_into().ok()),
        })
    }

    /// Which of them there are.
    pub fn which(self) -> (bool, bool) {
        (self.trace.is_some(), self.span.is_some())
    }

    /// Bytes of them in an entry.
    #[inline]
    pub fn len(self) -> usize {
        self.trace.map_or(0, |_| TRACE_FIELD.len()) + self.span.map_or(0, |_| SPAN_FIELD.len())
    }

    /// Writes them as fields of an `EntryAdapter`.
    #[inline]
    pub fn write(self, out: &mut Writer) {
        if let Some(id) = self.trace {
            write_field(TRACE_FIELD, id, out);
        }
        if let Some(id) = self.span {
            write_field(SPAN_FIELD, id, out);
        }
    }
}

/// Fills the digits in and appends all of it at once.
#[inline]
fn write_field<const FIELD: usize, const ID: usize>(mut field: [u8; FIELD], id: &[u8; ID], out: &mut Writer) {
    field[FIELD - 2 * ID..].copy_from_slice(to_hex(id).as_flattened());
    out.raw(&field);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loki::metadata::Metadata;

    #[test]
    fn ids_are_written_as_any_other_structured_metadata() {
        let (trace, span) = (std::array::from_fn(|i| [0x0a, 0xf9][i % 2]), [0, 1, 2, 3, 0xfc, 0xfd, 0xfe, 0xff]);
        for (trace, span) in [(None, None), (Some(&trace), None), (None, Some(&span)), (Some(&trace), Some(&span))] {
            let ids = Ids { trace, span };
            let (mut out, mut metadata) = (Writer::new(), Metadata::default());
            ids.write(&mut out);
            metadata.add_ids(ids);
            assert_eq!((out.as_slice(), out.len()), (metadata.encoded(), ids.len()));
        }
    }
}
