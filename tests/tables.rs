//! The tables of keys in READMEs: what they say of a component is what its types read. `UPDATE_EXPECTED=1` writes the
//! columns that the types know, keeps the words, and leaves the words of new keys to be written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use pipeline::config::docs::{Book, Chapter, Readme, Row, Shared, Step, Table, ways, written};
use pipeline::config::shape::{self, Kind, Shape};
use pipeline::registry::{Described, Entry};

use crate::support::workspace;

/// One component.
struct Component {
    name: String,
    described: Described,
}

fn components() -> (pipeline::Registry, Vec<Component>) {
    fn add<B>(out: &mut Vec<Component>, section: &str, entries: &[Entry<B>]) {
        let named = |e: &Entry<B>| Component { name: format!("{section}.{}", e.name()), described: e.described };
        out.extend(entries.iter().map(named));
    }
    let registry = slipring::components();
    let mut out = Vec::new();
    add(&mut out, "receivers", registry.receivers());
    add(&mut out, "processors", registry.processors());
    add(&mut out, "exporters", registry.exporters());
    add(&mut out, "extensions", registry.extensions());
    (registry, out)
}

/// Whether a way ends at a key that needs words; the switch of a block that can be off explains itself.
fn is_key(way: &[Step]) -> bool {
    matches!(way.last(), Some(Step::Key(name, of)) if !(*name == "enabled" && *of == "~block"))
}

#[test]
fn every_key_has_its_words() {
    let (registry, components) = components();
    let book = Book::of(&registry);
    let mut missing = BTreeSet::new();
    let mut check = |name: &str, words: &Chapter<'_>, shape: &Shape| {
        for (way, shape) in ways(shape).iter().filter(|(way, _)| is_key(way)) {
            // The keys of a plain block speak for it.
            let speaks_for_itself = matches!(shape.kind, Kind::Block(_));
            match words.row(way) {
                Some(row) if !row.text.is_empty() => {}
                None if speaks_for_itself => {}
                _ => drop(missing.insert(format!("{name}.{}", written(way)))),
            }
        }
    };
    for component in &components {
        check(&component.name, &book.chapter(&component.described), &(component.described.shape)());
    }
    check("service", &book.of_type("Service").expect("the binary has words about it"), &shape::service());
    assert!(missing.is_empty(), "no README says what these are:\n{missing:#?}");
}

/// A README's tables with what they should be.
struct Page {
    path: PathBuf,
    text: &'static str,
    tables: Vec<(Table, Vec<String>)>,
}

#[test]
fn tables_are_what_the_types_read() {
    let (registry, components) = components();
    let book = Book::of(&registry);
    let mut pages: BTreeMap<PathBuf, Page> = BTreeMap::new();
    let mut failures = String::new();
    for path in readmes() {
        let text: &'static str = Box::leak(fs::read_to_string(&path).expect("a README is text").into_boxed_str());
        pages.insert(path.clone(), Page { path, text, tables: Vec::new() });
    }
    let mut fill = |readme: &Readme, section: &str, under_type: Option<&Shared>, words: &Chapter<'_>, shape: &Shape| {
        let Some(page) = pages.values_mut().find(|page| page.text == readme.text) else { return };
        let tables: Vec<&Table> = readme.tables.iter().filter(|t| t.section == section).collect();
        for table in &tables {
            for (n, under) in table.under.iter().enumerate() {
                let rows = rows(table, under, &tables, words, shape, under_type);
                match page.tables.iter().find(|(known, _)| known.lines == table.lines) {
                    None if n == 0 => page.tables.push(((*table).clone(), rows)),
                    Some((_, first)) if *first != rows => {
                        let _ = writeln!(failures, "{}: below `{under}` are other keys", page.path.display());
                    }
                    _ => {}
                }
            }
        }
    };
    for component in &components {
        let words = book.chapter(&component.described);
        fill(&words.readme, component.described.section, None, &words, &(component.described.shape)());
    }
    let is_components = |shared: &&&Shared| {
        let same = |c: &Component| c.described.readme == shared.readme && c.described.section == shared.section;
        components.iter().any(same)
    };
    for shared in registry.shared_types().iter().filter(|shared| !is_components(shared)) {
        let all = components.iter().map(|c| (c.described.shape)()).chain([shape::service()]);
        let Some(shape) = all.into_iter().find_map(|shape| keys_of(&shape, shared.name)) else { continue };
        let words = book.of_type(shared.name).expect("it is listed");
        fill(&words.readme, shared.section, Some(shared), &words, &shape);
    }
    for page in pages.values() {
        let written = page.written();
        if written == page.text {
            continue;
        }
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&page.path, written).expect("the sources are writable");
        } else {
            let differs = written.lines().zip(page.text.lines()).find(|(now, before)| now != before);
            let (now, before) = differs.unwrap_or_default();
            let _ = writeln!(failures, "{}:\n  should be {now}\n         is {before}", page.path.display());
        }
    }
    assert!(failures.is_empty(), "UPDATE_EXPECTED=1 cargo test --test it tables writes them:\n{failures}");
}

/// The READMEs of all crates.
pub fn readmes() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = ["pipeline", "receivers", "processors", "exporters", "extensions"]
        .map(|k| workspace().join(k).join("src"))
        .into();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            match path.is_dir() {
                true => folders.push(path),
                false if path.ends_with("README.md") => found.push(path),
                false => {}
            }
        }
    }
    found.sort();
    found
}

/// The keys that a type reads, wherever it is used first.
fn keys_of(shape: &Shape, name: &str) -> Option<Shape> {
    let of_block = |shape: &Shape| {
        let mut block = shape.block()?.clone();
        block.keys.retain(|key| key.of == name);
        (!block.keys.is_empty()).then(|| Shape::of(Kind::Block(block)))
    };
    of_block(shape).or_else(|| ways(shape).into_iter().find_map(|(_, below)| of_block(below)))
}

/// The rows of a table, in the order in which they stand, new ones behind.
fn rows(
    table: &Table,
    under: &str,
    tables: &[&Table],
    words: &Chapter<'_>,
    shape: &Shape,
    shared: Option<&Shared>,
) -> Vec<String> {
    let deeper: Vec<&str> =
        tables.iter().flat_map(|t| t.under.iter()).map(String::as_str).filter(|u| u.len() > under.len()).collect();
    let mut wanted: BTreeMap<String, String> = BTreeMap::new();
    for (way, below) in ways(shape).iter().filter(|(way, _)| is_key(way)) {
        let tagged = written(way);
        let untagged = written(&way.iter().copied().filter(|s| !matches!(s, Step::Tag(_))).collect::<Vec<_>>());
        let is_below = |path: &str, above: &str| path.strip_prefix(above).is_some_and(|rest| rest.starts_with('.'));
        let relative = |path: &str| match under {
            "" => Some(path.to_owned()),
            under => Some(path.strip_prefix(under)?.strip_prefix('.')?.to_owned()),
        };
        let row_of = |path: &Option<String>| path.as_ref().and_then(|p| table.rows.iter().find(|row| row.key == *p));
        let belongs_deeper = |path: &str| deeper.iter().any(|u| is_below(path, u));
        let paths = [relative(&tagged), relative(&untagged)];
        let stated = [(&tagged, &paths[0]), (&untagged, &paths[1])]
            .into_iter()
            .find(|(full, path)| row_of(path).is_some() && !belongs_deeper(full));
        let path = match stated {
            Some((_, path)) => path.clone(),
            None if belongs_deeper(&tagged) || belongs_deeper(&untagged) => continue,
            // Somebody else says it, or it speaks for itself.
            None if words.row(way).is_some() || matches!(below.kind, Kind::Block(_)) => continue,
            None if shared.is_none() && words.elsewhere(way).is_some() => continue,
            None => paths[0].clone(),
        };
        if let Some(path) = path {
            wanted.entry(path).or_insert_with(|| kind(below));
        }
    }
    let mut out = Vec::new();
    let line = |key: &str, kind: &str, row: Option<&Row>| {
        let (default, text) = row.map_or(("", ""), |row| (row.default.as_str(), row.text.as_str()));
        let cell = |text: &str| if text.is_empty() { String::from(" ") } else { format!(" {text} ") };
        format!("| `{key}` |{}|{}|{}|", cell(kind), cell(default), cell(text))
    };
    for row in &table.rows {
        if let Some(kind) = wanted.remove(&row.key) {
            out.push(line(&row.key, &kind, Some(row)));
        } else if row.key.contains("*_") {
            out.push(line(&row.key, "any", Some(row)));
        }
    }
    out.extend(wanted.iter().map(|(key, kind)| line(key, kind, None)));
    out
}

/// What a key takes, as the table says it: few words are listed.
fn kind(shape: &Shape) -> String {
    const FEW: usize = 8;
    match &shape.kind {
        Kind::Words(words) if words.len() <= FEW => {
            words.iter().filter(|w| !w.is_empty()).map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ")
        }
        Kind::List(inner) => match &inner.kind {
            Kind::Words(words) if words.len() <= FEW => {
                format!("list of {}", words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", "))
            }
            _ => shape.to_string(),
        },
        _ => shape.to_string(),
    }
}

impl Page {
    fn written(&self) -> String {
        let mut out: Vec<String> = Vec::new();
        let mut rest = self.text.lines().enumerate().peekable();
        while let Some((n, line)) = rest.next() {
            let table = self.tables.iter().find(|(table, _)| table.lines.0 == n + 2);
            let Some((table, rows)) = table else {
                out.push(line.to_owned());
                continue;
            };
            out.push("| key | type | default | |".to_owned());
            out.push("| --- | --- | --- | --- |".to_owned());
            out.extend(rows.iter().cloned());
            rest.next();
            while rest.peek().is_some_and(|(m, _)| *m < table.lines.0 + table.lines.1) {
                rest.next();
            }
        }
        out.join("\n") + "\n"
    }
}

#[test]
fn stated_defaults_are_the_real_ones() {
    let (registry, components) = components();
    let book = Book::of(&registry);
    let (mut compared, mut wrong) = (0, String::new());
    for component in &components {
        let words = book.chapter(&component.described);
        let shape = (component.described.shape)();
        for (way, below) in ways(&shape).iter().filter(|(way, _)| is_key(way)) {
            let Some(row) = words.row(way) else { continue };
            let Some(value) = row.default_value() else { continue };
            if way.iter().any(|step| matches!(step, Step::Element | Step::Value | Step::Tag(_))) {
                continue;
            }
            let with = (component.described.decoded)(&nested(way, value));
            let without = (component.described.decoded)(&nested(&way[..way.len() - 1], "{}"));
            match (with, without) {
                (Ok(with), Ok(without)) if below.optional || with == without => compared += 1,
                (Err(error), _) => drop(writeln!(wrong, "{}.{}: {value}: {error}", component.name, written(way))),
                (_, Err(error)) => drop(writeln!(wrong, "{}.{}: {error}", component.name, written(way))),
                (Ok(_), Ok(_)) => {
                    let _ = writeln!(wrong, "{}.{}: {value} is not the default", component.name, written(way));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(compared > 200, "{compared}");
}

/// A body with one value in it.
fn nested(way: &[Step], value: &str) -> String {
    way.iter().rev().fold(value.to_owned(), |inner, step| match step {
        Step::Key(name, _) => format!("{{{name}: {inner}}}"),
        _ => inner,
    })
}
