//! Exemplars of a point, and the labels that they have in Prometheus' language.

use pipeline::otlp::WireError;
use pipeline::otlp::hex::digits;
use pipeline::otlp::view::{Exemplar, Repeated};

use super::names::Namer;
use crate::plain;

/// OpenMetrics allows so many characters in all names and values of an exemplar's labels.
const MOST_CHARACTERS: usize = 128;

/// The exemplars of one point.
#[derive(Default)]
pub struct Exemplars<'a> {
    list: Vec<Exemplar<'a>>,
}

impl<'a> Exemplars<'a> {
    /// Forgets them.
    pub fn clear(&mut self) {
        self.list.clear();
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Takes them in.
    ///
    /// # Errors
    /// When one is malformed.
    pub fn read(&mut self, exemplars: Repeated<'a, Exemplar<'a>>) -> Result<(), WireError> {
        for exemplar in exemplars {
            self.list.push(exemplar?);
        }
        Ok(())
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Exemplar<'a>> {
        self.list.iter()
    }

    /// Those of the bucket above `below`, up to `bound`.
    pub fn within(&self, below: f64, bound: f64) -> impl Iterator<Item = &Exemplar<'a>> {
        self.list.iter().filter(move |e| {
            let value = e.value.as_f64();
            value > below && value <= bound
        })
    }
}

/// The labels of an exemplar, sorted. Attributes that the aggregation dropped are left out where there would be too many
/// characters.
///
/// # Errors
/// When an id or an attribute is malformed.
pub fn labels(exemplar: &Exemplar<'_>, namer: Option<&Namer>) -> Result<Vec<(String, String)>, WireError> {
    let mut labels: Vec<(String, String)> = Vec::new();
    for attribute in exemplar.filtered_attributes() {
        let attribute = attribute?;
        let (mut name, mut value) = (String::new(), String::new());
        match namer {
            Some(namer) => namer.write_label(&mut name, attribute.key),
            None => name.push_str(attribute.key),
        }
        plain::write_text(&mut value, attribute.value)?;
        if !name.is_empty() && !value.is_empty() {
            labels.push((name, value));
        }
    }
    let trace_id = exemplar.trace_id()?.map(|id| ("trace_id".to_owned(), digits(&id).map(char::from).collect()));
    let span_id = exemplar.span_id()?.map(|id| ("span_id".to_owned(), digits(&id).map(char::from).collect()));
    let ids = || trace_id.iter().chain(&span_id);
    let characters: usize = ids().chain(&labels).map(|(n, v)| n.chars().count() + v.chars().count()).sum();
    if characters > MOST_CHARACTERS {
        labels.clear();
    }
    labels.retain(|(name, _)| ids().all(|(id, _)| id != name));
    labels.extend(ids().cloned());
    labels.sort();
    labels.dedup_by(|a, b| a.0 == b.0);
    Ok(labels)
}
