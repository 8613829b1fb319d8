//! Which file a request goes into: the config's path, or one for each value of a resource attribute.

use std::path::PathBuf;

use bytes::Bytes;
use pipeline::Batch;
use pipeline::otlp::WireError;
use pipeline::otlp::fields::request;
use pipeline::otlp::view::resources;
use pipeline::otlp::write::Writer;

use super::config::Config;
use crate::plain;

/// What stands in the path for a resource without the attribute.
const MISSING: &str = "MISSING";

/// The requests of a batch by the path that they go to.
///
/// # Errors
/// When the batch is malformed.
pub fn by_path(config: &Config, batch: &Batch) -> Result<Vec<(PathBuf, Vec<Bytes>)>, WireError> {
    if !config.group_by.enabled {
        return Ok(vec![(PathBuf::from(&config.path), batch.parts().to_vec())]);
    }
    let mut out: Vec<(PathBuf, Vec<Bytes>)> = Vec::new();
    for part in batch.parts() {
        let mut groups: Vec<(PathBuf, Writer)> = Vec::new();
        for group in resources(part) {
            let group = group?;
            let mut value = String::new();
            if let Some(found) = group.attributes().find(&config.group_by.resource_attribute)? {
                plain::write_text(&mut value, found)?;
            }
            let path = PathBuf::from(config.path.replacen('*', &segment(&value), 1));
            let at = groups.iter().position(|(have, _)| *have == path).unwrap_or_else(|| {
                groups.push((path, Writer::new()));
                groups.len() - 1
            });
            groups[at].1.bytes(request::RESOURCES, group.raw);
        }
        for (path, request) in groups {
            let request = request.into_bytes();
            match out.iter_mut().find(|(have, _)| *have == path) {
                Some((_, requests)) => requests.push(request),
                None => out.push((path, vec![request])),
            }
        }
    }
    Ok(out)
}

/// A value as part of a path: it may name folders but not lead out of where the `*` stands.
fn segment(value: &str) -> String {
    let names: Vec<_> = value.split('/').filter(|name| !matches!(*name, "" | "." | "..")).collect();
    if names.is_empty() { MISSING.to_owned() } else { names.join("/").replace('\0', "_") }
}
