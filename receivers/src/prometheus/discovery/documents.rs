//! What `file_sd` and `http_sd` read: lists of groups as JSON or YAML, strictly. Somebody else writes them.

use std::collections::BTreeMap;

use pipeline::config::{Text, read_document};
use serde::Deserialize;

use crate::prometheus::config::Group;

/// A group as JSON has it: text only, as in Prometheus. Not config, so that serde itself looks for unknown keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonGroup {
    #[serde(default)]
    targets: Vec<String>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

/// The groups of a JSON document.
///
/// # Errors
/// What is wrong with it, and where.
pub fn read_json(document: &[u8]) -> Result<Vec<Group>, String> {
    let groups: Vec<JsonGroup> = serde_json::from_slice(document).map_err(|error| error.to_string())?;
    let text = |label: (String, String)| (label.0, Text(label.1));
    Ok(groups
        .into_iter()
        .map(|group| Group {
            targets: group.targets.into_iter().map(Text).collect(),
            labels: group.labels.into_iter().flatten().map(text).collect(),
        })
        .collect())
}

/// The groups of a YAML document; an empty one has none.
///
/// # Errors
/// What is wrong with it, and where.
pub fn read_yaml(document: &[u8]) -> Result<Vec<Group>, String> {
    read_document(document)
}
