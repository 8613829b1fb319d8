//! Changes what a request holds, in place of decoding it: the attributes of resources, scopes, items and data points, and
//! whole items. What is not changed, unknown fields included, keeps its bytes; lengths that change are written minimal.

mod attributes;
mod items;

use bytes::Bytes;
use smallvec::SmallVec;

pub use attributes::{Attributes, When};
pub use items::{Change, items};

use super::fields::{
    exponential_point, histogram_point, log_record, metric, number_point, request, resource, resource_group, scope,
    scope_group, span, summary_point,
};
use super::place::{Fate, Place, data_fields, each_item};
use super::splice::Splice;
use super::view::{Metric, ScopeGroup, View};
use super::wire::{Field, Fields, WireError};
use crate::batch::Signal;

/// Whose attributes to edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// Every resource.
    Resource,
    /// Every instrumentation scope.
    Scope,
    /// Every span or log record; nothing in metrics.
    Item,
    /// Every data point; nothing in traces and logs.
    Point,
}

impl Level {
    /// The level of what is counted as items: spans and log records, or data points.
    pub const fn items(signal: Signal) -> Level {
        match signal {
            Signal::Metrics => Level::Point,
            Signal::Traces | Signal::Logs => Level::Item,
        }
    }
}

/// Shows the attributes of every resource, scope, item or data point to `edit`, which may change them, and answers the
/// new request, or `None` when nothing changed. A resource or scope message that is missing is made when attributes are
/// inserted.
///
/// # Errors
/// When the request is malformed on the way to the attributes, and the errors of `edit`.
pub fn attributes<'a>(
    signal: Signal,
    request: &'a Bytes,
    level: Level,
    edit: &mut dyn FnMut(&mut Attributes<'a>) -> Result<(), WireError>,
) -> Result<Option<Bytes>, WireError> {
    let mut splice = Splice::new(request);
    let mut attributes = Attributes::new();
    match level {
        Level::Resource => resources(&mut splice, request, &mut attributes, edit)?,
        Level::Scope => scopes(&mut splice, request, &mut attributes, edit)?,
        Level::Item if signal != Signal::Metrics => {
            let number = if signal == Signal::Traces { span::ATTRIBUTES } else { log_record::ATTRIBUTES };
            each_item(&mut splice, request, false, |splice, place, field, item| {
                one(splice, place, field, item, number, &mut attributes, edit)?;
                Ok(Fate::Stays)
            })?;
        }
        Level::Point if signal == Signal::Metrics => {
            each_item(&mut splice, request, false, |splice, place, field, raw| {
                points(splice, place, field, raw, &mut attributes, edit)?;
                Ok(Fate::Stays)
            })?;
        }
        Level::Item | Level::Point => {}
    }
    Ok(splice.finish())
}

type Edit<'e, 'a> = &'e mut dyn FnMut(&mut Attributes<'a>) -> Result<(), WireError>;

/// Edits the attributes of one message.
#[inline]
fn one<'a>(
    splice: &mut Splice<'a>,
    place: &Place<'a>,
    field: &Field<'a>,
    message: &'a [u8],
    number: u32,
    attributes: &mut Attributes<'a>,
    edit: Edit<'_, 'a>,
) -> Result<(), WireError> {
    attributes.begin(place, message, number, splice);
    edit(attributes)?;
    attributes.end(splice);
    if attributes.is_changed() {
        let inside = splice.enter(field, message);
        attributes.patch(splice, 0);
        splice.leave(&inside);
    }
    Ok(())
}

fn points<'a>(
    splice: &mut Splice<'a>,
    place: &Place<'a>,
    field: &Field<'a>,
    raw: &'a [u8],
    attributes: &mut Attributes<'a>,
    edit: Edit<'_, 'a>,
) -> Result<(), WireError> {
    let place = Place { metric: Metric::view(raw)?, ..*place };
    let in_metric = splice.enter(field, raw);
    for data in data_fields(raw)? {
        let number = match data.number {
            metric::HISTOGRAM => histogram_point::ATTRIBUTES,
            metric::EXPONENTIAL_HISTOGRAM => exponential_point::ATTRIBUTES,
            metric::SUMMARY => summary_point::ATTRIBUTES,
            _ => number_point::ATTRIBUTES,
        };
        let inside = data.value.bytes()?;
        let in_data = splice.enter(&data, inside);
        for point in Fields::new(inside) {
            let point = point?;
            if point.number == metric::POINTS {
                one(splice, &place, &point, point.value.bytes()?, number, attributes, edit)?;
            }
        }
        splice.leave(&in_data);
    }
    splice.leave(&in_metric);
    Ok(())
}

fn resources<'a>(
    splice: &mut Splice<'a>,
    message: &'a [u8],
    attributes: &mut Attributes<'a>,
    edit: Edit<'_, 'a>,
) -> Result<(), WireError> {
    let mut index = 0;
    for group in Fields::new(message) {
        let group = group?;
        if group.number == request::RESOURCES {
            let inside = group.value.bytes()?;
            let place = Place::at(inside, index);
            index += 1;
            let in_group = splice.enter(&group, inside);
            envelope(splice, &place, inside, (resource_group::RESOURCE, resource::ATTRIBUTES), attributes, edit)?;
            splice.leave(&in_group);
        }
    }
    Ok(())
}

fn scopes<'a>(
    splice: &mut Splice<'a>,
    message: &'a [u8],
    attributes: &mut Attributes<'a>,
    edit: Edit<'_, 'a>,
) -> Result<(), WireError> {
    let (mut resource_index, mut scope_index) = (0, 0);
    for group in Fields::new(message) {
        let group = group?;
        if group.number != request::RESOURCES {
            continue;
        }
        let group_inside = group.value.bytes()?;
        let in_group = splice.enter(&group, group_inside);
        for field in Fields::new(group_inside) {
            let field = field?;
            if field.number == resource_group::SCOPES {
                let inside = field.value.bytes()?;
                let place =
                    Place { scope: ScopeGroup { raw: inside }, scope_index, ..Place::at(group_inside, resource_index) };
                scope_index += 1;
                let in_scope = splice.enter(&field, inside);
                envelope(splice, &place, inside, (scope_group::SCOPE, scope::ATTRIBUTES), attributes, edit)?;
                splice.leave(&in_scope);
            }
        }
        resource_index += 1;
        splice.leave(&in_group);
    }
    Ok(())
}

/// Edits the attributes of the resource or scope of a group, which may occur any number of times.
fn envelope<'a>(
    splice: &mut Splice<'a>,
    place: &Place<'a>,
    group: &'a [u8],
    (number, attributes_number): (u32, u32),
    attributes: &mut Attributes<'a>,
    edit: Edit<'_, 'a>,
) -> Result<(), WireError> {
    let mut occurrences = SmallVec::<[Field<'a>; 1]>::new();
    for field in Fields::new(group) {
        let field = field?;
        if field.number == number {
            occurrences.push(field);
        }
    }
    attributes.begin_all(place, &occurrences, attributes_number, splice)?;
    edit(attributes)?;
    attributes.end(splice);
    if !attributes.is_changed() {
        return Ok(());
    }
    if occurrences.is_empty() {
        attributes.insert_message(splice, &group[..0], number);
    }
    for (i, field) in occurrences.iter().enumerate() {
        let inside = field.value.bytes()?;
        let entered = splice.enter(field, inside);
        attributes.patch(splice, i);
        splice.leave(&entered);
    }
    Ok(())
}
