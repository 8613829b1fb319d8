//! Counts the items of a serialized export request without looking into them.

use super::fields::{metric, request, resource_group, scope_group};
use super::wire::{Fields, Value, WireError};
use crate::batch::Signal;

/// Spans, data points or log records in a serialized export request.
///
/// # Errors
/// When an envelope (resource, scope, metric) is not well-formed.
pub fn items(signal: Signal, message: &[u8]) -> Result<usize, WireError> {
    let mut items = 0;
    for_each(message, request::RESOURCES, |group| {
        for_each(group, resource_group::SCOPES, |scope| {
            for_each(scope, scope_group::ITEMS, |item| {
                items += if signal == Signal::Metrics { points(item)? } else { 1 };
                Ok(())
            })
        })
    })?;
    Ok(items)
}

/// Data points of one serialized `Metric`; where its data occur more than once, those that protobuf keeps.
///
/// # Errors
/// When it is not well-formed down to its points' borders.
pub fn points(message: &[u8]) -> Result<usize, WireError> {
    let (mut points, mut kind) = (0, 0);
    for field in Fields::new(message) {
        let field = field?;
        if metric::is_data(field.number) {
            if field.number != kind {
                (points, kind) = (0, field.number);
            }
            for_each(field.value.bytes()?, metric::POINTS, |_| {
                points += 1;
                Ok(())
            })?;
        }
    }
    Ok(points)
}

fn for_each<'a>(
    message: &'a [u8],
    number: u32,
    mut each: impl FnMut(&'a [u8]) -> Result<(), WireError>,
) -> Result<(), WireError> {
    for field in Fields::new(message) {
        let field = field?;
        if field.number == number {
            match field.value {
                Value::Len(inside) => each(inside)?,
                _ => return Err(WireError::WireType),
            }
        }
    }
    Ok(())
}
