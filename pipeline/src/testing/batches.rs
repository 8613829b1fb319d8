//! Batches of items that are told apart by a name, for tests that care about which items arrive and not about what is in
//! them.

use crate::batch::{Batch, Signal};
use crate::otlp::fields::{any_value, log_record, metric, number_point, request, resource_group, scope_group, span};
use crate::otlp::wire::{Fields, WireError};
use crate::otlp::write::Writer;

/// A batch of one request with one item for each name: a span of that name, a gauge of that name with one point, a log
/// record with that body.
pub fn batch<T: std::fmt::Display>(signal: Signal, names: impl IntoIterator<Item = T>) -> Batch {
    let mut writer = Writer::new();
    let mut items = 0;
    writer.message(request::RESOURCES, |w| {
        w.message(resource_group::SCOPES, |w| {
            for name in names {
                items += 1;
                w.message(scope_group::ITEMS, |w| item(w, signal, &name.to_string(), items));
            }
        });
    });
    Batch::counted(signal, writer.into_bytes(), items)
}

/// A batch of log records with these bodies.
pub fn logs<T: std::fmt::Display>(bodies: impl IntoIterator<Item = T>) -> Batch {
    batch(Signal::Logs, bodies)
}

fn item(w: &mut Writer, signal: Signal, name: &str, number: usize) {
    match signal {
        Signal::Traces => {
            w.bytes(span::TRACE_ID, &(number as u128).to_be_bytes());
            w.bytes(span::SPAN_ID, &(number as u64).to_be_bytes());
            w.text(span::NAME, name);
        }
        Signal::Metrics => {
            w.text(metric::NAME, name);
            w.message(metric::GAUGE, |w| w.message(metric::POINTS, |w| w.double(number_point::AS_DOUBLE, 1.0)));
        }
        Signal::Logs => {
            w.fixed64(log_record::TIME, number as u64);
            w.message(log_record::BODY, |w| w.text(any_value::STRING, name));
        }
    }
}

/// The names of the items in a batch, in their order: of spans, of metrics (once for each, whatever their points), the
/// bodies of log records that are text.
///
/// # Panics
/// When the batch is not well-formed.
pub fn names(batch: &Batch) -> Vec<String> {
    let mut names = Vec::new();
    for part in batch.parts() {
        collect(batch.signal(), part, &mut names).expect("the batch is well-formed");
    }
    names
}

fn collect(signal: Signal, request: &[u8], names: &mut Vec<String>) -> Result<(), WireError> {
    for group in inside(request, request::RESOURCES)? {
        for scope in inside(group, resource_group::SCOPES)? {
            for item in inside(scope, scope_group::ITEMS)? {
                let name = match signal {
                    Signal::Traces => inside(item, span::NAME)?,
                    Signal::Metrics => inside(item, metric::NAME)?,
                    Signal::Logs => match inside(item, log_record::BODY)?.first() {
                        Some(body) => inside(body, any_value::STRING)?,
                        None => Vec::new(),
                    },
                };
                names.push(String::from_utf8_lossy(name.first().copied().unwrap_or_default()).into_owned());
            }
        }
    }
    Ok(())
}

fn inside(message: &[u8], number: u32) -> Result<Vec<&[u8]>, WireError> {
    Fields::new(message).filter(|f| f.as_ref().is_ok_and(|f| f.number == number)).map(|f| f?.value.bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_items_are_counted() {
        for signal in Signal::ALL {
            let batch = batch(signal, ["a", "b", "c"]);
            assert_eq!(names(&batch), ["a", "b", "c"]);
            assert_eq!(Batch::new(signal, batch.to_bytes()).unwrap().items(), 3);
        }
    }
}
