//! The components of a registry with their kinds forgotten, for what is said about all of them alike.

use pipeline::config::docs::{Book, Chapter};
use pipeline::config::shape::{self, Shape};
use pipeline::registry::{Described, Entry};
use pipeline::{Registry, Signal};

/// One component, or the section `service`.
pub struct Item<'a> {
    /// `receivers`, `service`.
    pub section: &'static str,
    /// The present name, then older ones; none for `service`.
    pub types: &'static [&'static str],
    /// One sentence.
    pub about: &'static str,
    /// What it takes part in.
    pub signals: &'static [Signal],
    /// How far it can be relied on.
    pub stability: &'static str,
    /// Keys that used to exist.
    pub removed: &'static [(&'static str, &'static str)],
    /// What may stand in its body.
    pub shape: Shape,
    /// The words about it.
    pub words: Chapter<'a>,
}

impl Item<'_> {
    /// The present name.
    pub fn name(&self) -> &'static str {
        self.types.first().copied().unwrap_or(self.section)
    }

    /// How a path to it begins: `receivers.otlp`, `service`.
    pub fn path(&self) -> String {
        match self.types.first() {
            Some(name) => format!("{}.{name}", self.section),
            None => self.section.to_owned(),
        }
    }
}

/// Everything that a config can hold, in the order of its sections.
pub fn items<'a>(registry: &Registry, book: &'a Book) -> Vec<Item<'a>> {
    let mut items = Vec::new();
    section(&mut items, "receivers", registry.receivers(), book);
    section(&mut items, "processors", registry.processors(), book);
    section(&mut items, "exporters", registry.exporters(), book);
    section(&mut items, "extensions", registry.extensions(), book);
    items.extend(book.of_type("Service").map(|words| Item {
        section: "service",
        types: &[],
        about: "The pipelines, own telemetry, and what concerns the process.",
        signals: &[],
        stability: "Beta",
        removed: &[],
        shape: shape::service(),
        words,
    }));
    items
}

fn section<'a, B>(items: &mut Vec<Item<'a>>, section: &'static str, entries: &[Entry<B>], book: &'a Book) {
    let mut own: Vec<Item<'a>> = entries
        .iter()
        .map(|entry| {
            let Described { shape, removed, .. } = entry.described;
            Item {
                section,
                types: entry.types,
                about: entry.about,
                signals: entry.signals,
                stability: entry.stability.name(),
                removed,
                shape: shape(),
                words: book.chapter(&entry.described),
            }
        })
        .collect();
    own.sort_by_key(Item::name);
    items.append(&mut own);
}
