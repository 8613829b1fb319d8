//! The labels of a series: gathered from config, resource, scope and point, made legal, sorted by their bytes, each name
//! once, none empty.

use pipeline::otlp::WireError;
use pipeline::otlp::view::{AnyValue, KeyValues};

use super::names::Namer;
use crate::plain;

/// The label that holds a metric's name.
pub const METRIC_NAME: &str = "__name__";

/// Who says that a label is there. Of labels with the same name that of the later origin is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// `external_labels`.
    External,
    /// A resource attribute that was asked for.
    Resource,
    /// `job` and `instance` of what Prometheus would have scraped: a scraped label comes before them (`honor_labels`).
    Target,
    /// An attribute of the point.
    Point,
    /// The instrumentation scope.
    Scope,
    /// `job` and `instance` from `service.*`.
    Service,
}

/// Text in the batch or the config, or made here.
#[derive(Clone, Copy, Debug)]
enum Text<'a> {
    Lent(&'a str),
    Made { start: usize, end: usize },
}

#[derive(Clone, Copy, Debug)]
struct Label<'a> {
    name: Text<'a>,
    value: Text<'a>,
    /// The name before it was made legal; labels that collide are joined in its order.
    key: &'a str,
    origin: Origin,
}

/// Gathers the labels of one point after the other. What all points of a scope share is gathered once.
#[derive(Default)]
pub struct Labels<'a> {
    made: String,
    gathered: Vec<Label<'a>>,
    /// Places in `gathered` by name: at first those of the point before, whose labels mostly came the same way.
    order: Vec<usize>,
    shared: (usize, usize),
    joined: String,
}

impl<'a> Labels<'a> {
    /// Forgets everything.
    pub fn clear(&mut self) {
        self.made.clear();
        self.gathered.clear();
        self.shared = (0, 0);
    }

    /// Everything gathered so far is shared by the points to come.
    pub fn share(&mut self) {
        self.shared = (self.gathered.len(), self.made.len());
    }

    /// Keeps only what is shared.
    pub fn next_point(&mut self) {
        self.gathered.truncate(self.shared.0);
        self.made.truncate(self.shared.1);
    }

    /// Adds a label whose name is legal.
    pub fn add(&mut self, origin: Origin, name: &'a str, value: &'a str) {
        self.gathered.push(Label { name: Text::Lent(name), value: Text::Lent(value), key: name, origin });
    }

    /// Adds a label whose name is legal and whose value is put together.
    pub fn add_made(&mut self, origin: Origin, name: &'static str, write: impl FnOnce(&mut String)) {
        let start = self.made.len();
        write(&mut self.made);
        let value = Text::Made { start, end: self.made.len() };
        self.gathered.push(Label { name: Text::Lent(name), value, key: name, origin });
    }

    /// Adds an attribute; `namer` makes its name legal, without one the name stays as it is.
    ///
    /// # Errors
    /// When the value is malformed.
    pub fn add_attribute(
        &mut self,
        origin: Origin,
        key: &'a str,
        value: AnyValue<'a>,
        namer: Option<&Namer>,
    ) -> Result<(), WireError> {
        let name = match namer {
            Some(namer) if !namer.keeps_label(key) => self.make(|out| {
                namer.write_label(out, key);
                Ok(())
            })?,
            _ => Text::Lent(key),
        };
        self.push_attribute(origin, name, key, value)
    }

    /// Adds an attribute of the scope, as `otel_scope_…`.
    ///
    /// # Errors
    /// When the value is malformed.
    pub fn add_scope_attribute(&mut self, key: &'a str, value: AnyValue<'a>, namer: &Namer) -> Result<(), WireError> {
        let name = self.make(|out| {
            out.push_str("otel_scope_");
            namer.write_label_rest(out, key);
            Ok(())
        })?;
        self.push_attribute(Origin::Scope, name, key, value)
    }

    /// Adds the attributes of a point.
    ///
    /// # Errors
    /// When one is malformed.
    pub fn add_attributes(&mut self, attributes: KeyValues<'a>, namer: Option<&Namer>) -> Result<(), WireError> {
        for attribute in attributes {
            let attribute = attribute?;
            self.add_attribute(Origin::Point, attribute.key, attribute.value, namer)?;
        }
        Ok(())
    }

    /// Hands over what was gathered, in order: without `__name__`, and without `extra` (`le`, `quantile`), whose place
    /// the series' own takes.
    pub fn resolve(&mut self, extra: &str, mut take: impl FnMut(&str, &str)) {
        self.each(|name, value| {
            if !name.is_empty() && name != METRIC_NAME && name != extra && !value.is_empty() {
                take(name, value);
            }
        });
    }

    /// Hands over what was gathered, in order, each name once, with names and values that no label may have.
    pub fn each(&mut self, mut take: impl FnMut(&str, &str)) {
        let Labels { made, gathered, order, joined, .. } = self;
        let text = |t: Text<'a>| match t {
            Text::Lent(text) => text,
            Text::Made { start, end } => &made[start..end],
        };
        let name_of = |at: usize| text(gathered[at].name);
        let as_before = order.len() == gathered.len() && order.is_sorted_by(|a, b| name_of(*a) < name_of(*b));
        if !as_before {
            order.clear();
            order.extend(0..gathered.len());
            order.sort_by(|a, b| {
                let (a, b) = (&gathered[*a], &gathered[*b]);
                text(a.name).cmp(text(b.name)).then(a.origin.cmp(&b.origin)).then(a.key.cmp(b.key))
            });
        }
        for group in order.chunk_by(|a, b| !as_before && name_of(*a) == name_of(*b)) {
            let Some(last) = group.last().map(|at| &gathered[*at]) else { continue };
            let taken = &group[group.partition_point(|at| gathered[*at].origin < last.origin)..];
            let value = match taken {
                [only] => text(gathered[*only].value),
                several => {
                    joined.clear();
                    join(several.iter().map(|at| (gathered[*at].key, text(gathered[*at].value))), joined);
                    joined.as_str()
                }
            };
            take(text(last.name), value);
        }
    }

    fn make(&mut self, write: impl FnOnce(&mut String) -> Result<(), WireError>) -> Result<Text<'a>, WireError> {
        let start = self.made.len();
        write(&mut self.made)?;
        Ok(Text::Made { start, end: self.made.len() })
    }

    fn push_attribute(
        &mut self,
        origin: Origin,
        name: Text<'a>,
        key: &'a str,
        value: AnyValue<'a>,
    ) -> Result<(), WireError> {
        let value = match value {
            AnyValue::Text(text) => Text::Lent(text),
            other => self.make(|out| plain::write_text(out, other))?,
        };
        self.gathered.push(Label { name, value, key, origin });
        Ok(())
    }
}

/// Joins the values of labels that came to have the same name; of values with the same key the last counts.
fn join<'v>(values: impl Iterator<Item = (&'v str, &'v str)>, out: &mut String) {
    let mut values = values.peekable();
    let mut first = true;
    while let Some((key, value)) = values.next() {
        if values.peek().is_some_and(|(next, _)| *next == key) {
            continue;
        }
        if !first {
            out.push(';');
        }
        out.push_str(value);
        first = false;
    }
}
