//! Where something stands that would be right elsewhere: a component under another kind, a key of another block.

use super::docs::{Step, ways, written};
use super::report::{Diagnostic, Rule};
use super::shape::Shape;
use crate::registry::Registry;

/// The sections that have a component type, such as `receivers`.
pub fn kinds(registry: &Registry, name: &str) -> Vec<&'static str> {
    let mut kinds = Vec::new();
    let mut add = |kind, has: bool| {
        if has {
            kinds.push(kind);
        }
    };
    add("receivers", registry.receivers().iter().any(|e| e.types.contains(&name)));
    add("processors", registry.processors().iter().any(|e| e.types.contains(&name)));
    add("exporters", registry.exporters().iter().any(|e| e.types.contains(&name)));
    add("extensions", registry.extensions().iter().any(|e| e.types.contains(&name)));
    kinds
}

/// Says of unknown keys at the top of a config where they belong.
pub fn at_the_top(diagnostics: &mut [Diagnostic], registry: &Registry) {
    const OF_SERVICE: &[&str] = &["pipelines", "telemetry", "shutdown_timeout", "data_dir"];
    for diagnostic in diagnostics {
        let Some(key) = diagnostic.unknown.take() else { continue };
        let name = key.split('/').next().unwrap_or_default().trim();
        let sections: Vec<String> = kinds(registry, name).iter().map(|kind| format!("`{kind}`")).collect();
        let help = if OF_SERVICE.contains(&&*key) {
            format!("`{key}` stands under `service`")
        } else if sections.is_empty() {
            continue;
        } else {
            format!("`{name}` is a component: write it under {}", sections.join(" or "))
        };
        diagnostic.help.insert(0, help);
    }
}

/// Says of unknown keys in a component's body which of its blocks have them.
pub fn in_a_body(diagnostics: &mut [Diagnostic], shape: fn() -> Shape) {
    const FEW: usize = 3;
    let mut unknown = diagnostics.iter_mut().filter(|d| d.rule == Rule::UnknownKey && d.unknown.is_some()).peekable();
    if unknown.peek().is_none() {
        return;
    }
    let shape = shape();
    let ways = ways(&shape);
    for diagnostic in unknown {
        let Some(key) = diagnostic.unknown.take() else { continue };
        let mut blocks: Vec<String> = Vec::new();
        for (way, _) in &ways {
            let Some((Step::Key(name, of), above)) = way.split_last() else { continue };
            if *name == &*key && *of != "~block" {
                let block =
                    if above.is_empty() { "the body itself".to_owned() } else { format!("`{}`", written(above)) };
                if !blocks.contains(&block) {
                    blocks.push(block);
                }
            }
        }
        blocks.sort_by_key(String::len);
        if !blocks.is_empty() {
            let more = if blocks.len() > FEW { ", …" } else { "" };
            blocks.truncate(FEW);
            diagnostic.help.insert(0, format!("`{key}` is a key of {}{more}", blocks.join(", ")));
        }
    }
}
