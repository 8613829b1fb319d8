//! Takes away items, whole metrics or data points. Scopes and resources that hold nothing afterwards go too, also those
//! that held nothing before; a request in which nothing is left becomes empty bytes.

use bytes::Bytes;

use super::count;
use super::fields::metric;
use super::place::{Fate, Place, data_fields, each_item};
use super::splice::Splice;
use super::view::{Metric, View};
use super::wire::{Fields, WireError};
use crate::batch::{Edited, Signal};

/// Keeps the spans, metrics or log records that `keep` says. Answers `None` when everything stays.
/// What is taken away is counted in spans, data points or log records.
///
/// # Errors
/// When an envelope is malformed, and the errors of `keep`.
pub fn items<'a>(
    signal: Signal,
    request: &'a Bytes,
    mut keep: impl FnMut(&Place<'a>, &'a [u8]) -> Result<bool, WireError>,
) -> Result<Option<Edited>, WireError> {
    let mut splice = Splice::new(request);
    let mut removed = 0;
    each_item(&mut splice, request, true, |_, place, _, item| {
        if keep(place, item)? {
            return Ok(Fate::Stays);
        }
        removed += if signal == Signal::Metrics { count::points(item)? } else { 1 };
        Ok(Fate::Goes)
    })?;
    Ok(edited(splice, removed))
}

/// Keeps the metrics that `keep` says by their name and their serialized form. Answers `None` when all stay.
///
/// # Errors
/// When a metric is malformed down to its name, and the errors of `keep`.
pub fn metrics<'a>(
    request: &'a Bytes,
    mut keep: impl FnMut(&Place<'a>, &'a str, &'a [u8]) -> Result<bool, WireError>,
) -> Result<Option<Edited>, WireError> {
    items(Signal::Metrics, request, |place, raw| keep(place, name(raw)?, raw))
}

/// Keeps the data points that `keep` says; it sees the metric in [`Place::metric`]. Metrics without points go.
/// Answers `None` when everything stays.
///
/// # Errors
/// When a metric is malformed, and the errors of `keep`.
pub fn points<'a>(
    request: &'a Bytes,
    mut keep: impl FnMut(&Place<'a>, &'a [u8]) -> Result<bool, WireError>,
) -> Result<Option<Edited>, WireError> {
    let mut splice = Splice::new(request);
    let mut removed = 0;
    each_item(&mut splice, request, true, |splice, place, field, raw| {
        let place = Place { metric: Metric::view(raw)?, ..*place };
        let in_metric = splice.enter(field, raw);
        let mut left = 0;
        for data in data_fields(raw)? {
            let inside = data.value.bytes()?;
            let in_data = splice.enter(&data, inside);
            for point in Fields::new(inside) {
                let point = point?;
                if point.number != metric::POINTS {
                } else if keep(&place, point.value.bytes()?)? {
                    left += 1;
                } else {
                    removed += 1;
                    splice.remove(point.raw);
                }
            }
            splice.leave(&in_data);
        }
        if left > 0 {
            splice.leave(&in_metric);
            return Ok(Fate::Stays);
        }
        splice.forget(&in_metric);
        Ok(Fate::Goes)
    })?;
    Ok(edited(splice, removed))
}

fn edited(splice: Splice<'_>, items_removed: usize) -> Option<Edited> {
    splice.finish().map(|bytes| Edited { bytes, items_removed, items_added: 0 })
}

/// The name of a serialized metric.
fn name(metric: &[u8]) -> Result<&str, WireError> {
    let mut name = "";
    for field in Fields::new(metric) {
        let field = field?;
        if field.number == metric::NAME {
            name = field.value.text()?;
        }
    }
    Ok(name)
}
