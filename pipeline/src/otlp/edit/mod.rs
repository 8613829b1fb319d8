//! Changes what a request holds, in place of decoding it: the attributes of resources, scopes, items and data points, and
//! whole items. What is not changed, unknown fields included, keeps its bytes; lengths that change are written minimal.

mod attributes;
mod items;

use bytes::Bytes;
use smallvec::SmallVec;

pub use attributes::{Attributes, Rewrite, When};
pub use items::{Change, items};

use super::fields::{
    event, exemplar, exponential_point, histogram_point, link, log_record, metric, number_point, request, resource,
    resource_group, scope, scope_group, span, summary_point,
};
use super::place::{Fate, Place, data_fields, each_item};
use super::splice::Splice;
use super::view::{Metric, ScopeGroup, View};
use super::wire::{Field, Fields, WireError, usual};
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
    /// Every event of a span; nothing in metrics and logs.
    Event,
    /// Every link of a span; nothing in metrics and logs.
    Link,
    /// Every exemplar of a data point, by the attributes that the point left out; nothing in traces and logs.
    Exemplar,
}

impl Level {
    /// The level of what is counted as items: spans and log records, or data points.
    pub const fn items(signal: Signal) -> Level {
        match signal {
            Signal::Metrics => Level::Point,
            Signal::Traces | Signal::Logs => Level::Item,
        }
    }

    /// All levels that a signal has.
    pub const fn all(signal: Signal) -> &'static [Level] {
        match signal {
            Signal::Traces => &[Level::Resource, Level::Scope, Level::Item, Level::Event, Level::Link],
            Signal::Metrics => &[Level::Resource, Level::Scope, Level::Point, Level::Exemplar],
            Signal::Logs => &[Level::Resource, Level::Scope, Level::Item],
        }
    }
}

/// Shows the attributes of every message of that level to `edit`, which may change them, and answers the new request, or
/// `None` when nothing changed. A resource or scope message that is missing is made when attributes are
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
        Level::Event | Level::Link if signal == Signal::Traces => {
            let numbers =
                if level == Level::Event { (span::EVENTS, event::ATTRIBUTES) } else { (span::LINKS, link::ATTRIBUTES) };
            each_item(&mut splice, request, false, |splice, place, field, raw| {
                let in_span = splice.enter(field, raw);
                each_in(splice, place, raw, numbers, &mut attributes, edit)?;
                splice.leave(&in_span);
                Ok(Fate::Stays)
            })?;
        }
        Level::Point | Level::Exemplar if signal == Signal::Metrics => {
            each_item(&mut splice, request, false, |splice, place, field, raw| {
                points(splice, place, field, raw, level == Level::Exemplar, &mut attributes, edit)?;
                Ok(Fate::Stays)
            })?;
        }
        Level::Item | Level::Point | Level::Event | Level::Link | Level::Exemplar => {}
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

/// Edits the attributes, in field `numbers.1`, of every message in field `numbers.0` of a message.
fn each_in<'a>(
    splice: &mut Splice<'a>,
    place: &Place<'a>,
    message: &'a [u8],
    numbers: (u32, u32),
    attributes: &mut Attributes<'a>,
    edit: Edit<'_, 'a>,
) -> Result<(), WireError> {
    let mut rest = message;
    while let [key, ..] = rest {
        // Most messages have many fields before these, or none of these.
        if u32::from(*key) >> 3 != numbers.0
            && let Some((_, behind)) = usual(rest)
        {
            rest = behind;
            continue;
        }
        let mut fields = Fields::new(rest);
        let Some(field) = fields.next().transpose()? else { break };
        rest = fields.rest();
        if field.number == numbers.0 {
            one(splice, place, &field, field.value.bytes()?, numbers.1, attributes, edit)?;
        }
    }
    Ok(())
}

/// Edits the attributes of the points of a metric, or of their exemplars.
fn points<'a>(
    splice: &mut Splice<'a>,
    place: &Place<'a>,
    field: &Field<'a>,
    raw: &'a [u8],
    of_exemplars: bool,
    attributes: &mut Attributes<'a>,
    edit: Edit<'_, 'a>,
) -> Result<(), WireError> {
    let place = Place { metric: Metric::view(raw)?, ..*place };
    let in_metric = splice.enter(field, raw);
    for data in data_fields(raw)? {
        let (number, exemplars) = match data.number {
            metric::HISTOGRAM => (histogram_point::ATTRIBUTES, histogram_point::EXEMPLARS),
            metric::EXPONENTIAL_HISTOGRAM => (exponential_point::ATTRIBUTES, exponential_point::EXEMPLARS),
            // A summary has no exemplars.
            metric::SUMMARY if of_exemplars => continue,
            metric::SUMMARY => (summary_point::ATTRIBUTES, 0),
            _ => (number_point::ATTRIBUTES, number_point::EXEMPLARS),
        };
        let inside = data.value.bytes()?;
        let in_data = splice.enter(&data, inside);
        for point in Fields::new(inside) {
            let point = point?;
            if point.number != metric::POINTS {
                continue;
            }
            let raw = point.value.bytes()?;
            if of_exemplars {
                let in_point = splice.enter(&point, raw);
                each_in(splice, &place, raw, (exemplars, exemplar::FILTERED_ATTRIBUTES), attributes, edit)?;
                splice.leave(&in_point);
            } else {
                one(splice, &place, &point, raw, number, attributes, edit)?;
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
