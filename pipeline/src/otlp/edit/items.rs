//! Rewrites whole items.

use bytes::Bytes;

use super::super::count;
use super::super::fields::scope_group;
use super::super::place::{Fate, Place, each_item};
use super::super::splice::Splice;
use super::super::view::Repeated;
use super::super::wire::WireError;
use super::super::write::Writer;
use crate::batch::{Edited, Signal};

/// What becomes of a span, metric or log record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It stays as it is.
    Keep,
    /// It is taken away.
    Drop,
    /// What was written, the inside of the message, takes its place.
    Replace,
    /// It stays, and what was written stands in it behind everything else: whole fields. What they say of a field that
    /// does not repeat takes the place of what was said before.
    Append,
    /// What was written takes its place: any number of whole items, each as a field `scope_group::ITEMS`.
    Split,
}

/// Shows every span, metric or log record to `change`, which may write what takes its place, for which
/// [`Writer::fields_except`] carries over what stays. In the writer stands what was written for others before: it is to be
/// written behind that. Answers `None` when everything stays. Scopes and resources that hold nothing afterwards go too.
///
/// # Errors
/// When an envelope is malformed, and the errors of `change`.
pub fn items<'a>(
    signal: Signal,
    request: &'a Bytes,
    mut change: impl FnMut(&Place<'a>, &'a [u8], &mut Writer) -> Result<Change, WireError>,
) -> Result<Option<Edited>, WireError> {
    let mut splice = Splice::new(request);
    let mut edited = Edited::default();
    let count = |item: &[u8]| if signal == Signal::Metrics { count::points(item) } else { Ok(1) };
    each_item(&mut splice, request, true, |splice, place, field, item| {
        let from = splice.writer().len();
        let change = change(place, item, splice.writer())?;
        let to = splice.writer().len();
        let written = |splice: &mut Splice<'_>| count(&splice.writer().as_slice()[from..to]);
        match change {
            Change::Keep => {
                splice.writer().truncate(from);
                Ok(Fate::Stays)
            }
            Change::Drop => {
                splice.writer().truncate(from);
                edited.items_removed += count(item)?;
                Ok(Fate::Goes)
            }
            Change::Replace => {
                let (before, after) = (count(item)?, written(splice)?);
                edited.items_removed += before.saturating_sub(after);
                edited.items_added += after.saturating_sub(before);
                let inside = splice.enter(field, item);
                splice.insert_written(item, from, to);
                splice.leave(&inside);
                Ok(Fate::Stays)
            }
            Change::Append => {
                if signal == Signal::Metrics {
                    edited.items_added += written(splice)?;
                }
                let inside = splice.enter(field, item);
                splice.insert_written(&item[item.len()..], from, to);
                splice.leave(&inside);
                Ok(Fate::Stays)
            }
            Change::Split => {
                let (before, mut after) = (count(item)?, 0);
                for new in Repeated::<&[u8]>::new(&splice.writer().as_slice()[from..to], scope_group::ITEMS) {
                    after += count(new?)?;
                }
                edited.items_removed += before.saturating_sub(after);
                edited.items_added += after.saturating_sub(before);
                splice.insert_written(field.raw, from, to);
                Ok(Fate::Stays)
            }
        }
    })?;
    Ok(splice.finish().map(|bytes| Edited { bytes, ..edited }))
}
