//! `slipring components`: what the binary has, as YAML in the collector's form.

use std::fmt::Write as _;

use pipeline::registry::Entry;
use pipeline::{Registry, Signal};

/// The list, ending with a line end.
pub fn components(registry: &Registry) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "buildinfo:\n  command: slipring\n  version: {}", env!("CARGO_PKG_VERSION"));
    section(&mut out, "receivers", registry.receivers());
    section(&mut out, "processors", registry.processors());
    section(&mut out, "exporters", registry.exporters());
    section(&mut out, "extensions", registry.extensions());
    out
}

fn section<B>(out: &mut String, kind: &str, entries: &[Entry<B>]) {
    if entries.is_empty() {
        let _ = writeln!(out, "{kind}: []");
        return;
    }
    let _ = writeln!(out, "{kind}:");
    let mut entries: Vec<&Entry<B>> = entries.iter().collect();
    entries.sort_by_key(|e| e.name());
    for entry in entries {
        let _ = writeln!(out, "  - name: {}", entry.name());
        let _ = writeln!(out, "    about: {:?}", entry.about);
        if let [_, aliases @ ..] = entry.types
            && !aliases.is_empty()
        {
            let _ = writeln!(out, "    deprecated_types: [{}]", aliases.join(", "));
        }
        if entry.signals.is_empty() {
            let _ = writeln!(out, "    stability: {}", entry.stability.name());
            continue;
        }
        let _ = writeln!(out, "    stability:");
        for signal in Signal::ALL.into_iter().filter(|s| entry.signals.contains(s)) {
            let _ = writeln!(out, "      {signal}: {}", entry.stability.name());
        }
    }
}
