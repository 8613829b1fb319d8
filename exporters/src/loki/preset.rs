//! `preset: dynamo`: the stream labels that Dynamo's dashboards ask for, and the trace id in the line that they search.

use std::fmt::Write;

use memchr::memmem;
use pipeline::otlp::WireError;
use pipeline::otlp::hex::{to_hex, write_hex};
use pipeline::otlp::view::{KeyValue, LogRecord};
use serde::Deserialize;

/// `preset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// For NVIDIA Dynamo.
    Dynamo,
}

/// Labels with the resource attributes that they come from, the first that is there: as the collector's Kubernetes
/// attributes name them, as the pods have them, as Alloy writes them.
const LABELS: [(&str, &[&str]); 3] = [
    ("namespace", &["k8s.namespace.name", "namespace"]),
    (
        "nvidia_com_dynamo_graph_deployment_name",
        &[
            "k8s.pod.label.nvidia.com/dynamo-graph-deployment-name",
            "k8s.pod.labels.nvidia.com/dynamo-graph-deployment-name",
            "nvidia.com/dynamo-graph-deployment-name",
            "nvidia_com_dynamo_graph_deployment_name",
        ],
    ),
    (
        "nvidia_com_dynamo_component_type",
        &[
            "k8s.pod.label.nvidia.com/dynamo-component-type",
            "k8s.pod.labels.nvidia.com/dynamo-component-type",
            "nvidia.com/dynamo-component-type",
            "nvidia_com_dynamo_component_type",
        ],
    ),
];

impl Preset {
    /// Its labels, each with the attribute of the resource that it is.
    pub fn labels<'r, 'a>(
        self,
        resource: &'r [KeyValue<'a>],
    ) -> impl Iterator<Item = (&'static str, &'r KeyValue<'a>)> {
        LABELS.iter().filter_map(|(label, sources)| {
            let attribute = sources.iter().find_map(|key| resource.iter().rfind(|a| a.key == *key))?;
            Some((*label, attribute))
        })
    }

    /// Whether a resource's attribute is a label.
    pub fn is_label(self, key: &str) -> bool {
        LABELS.iter().any(|(_, sources)| sources.contains(&key))
    }

    /// Whether a line has its record's trace id, where there is one.
    pub fn is_complete(self, line: &[u8], trace_id: Option<&[u8; 16]>) -> bool {
        trace_id.is_none_or(|id| memmem::find(line, to_hex(id).as_flattened()).is_some())
    }

    /// Adds the trace id to a line that has it not: as a member of an object, or behind the text.
    ///
    /// # Errors
    /// When the id is of a wrong length.
    pub fn complete(self, line: &mut String, record: &LogRecord<'_>) -> Result<(), WireError> {
        let Some(id) = record.trace_id()? else { return Ok(()) };
        let mut hex = String::with_capacity(32);
        write_hex(&mut hex, &id);
        if memmem::find(line.as_bytes(), hex.as_bytes()).is_some() {
            return Ok(());
        }
        let trimmed = line.trim_end().len();
        match line[..trimmed].strip_suffix('}') {
            Some(members) if line.trim_start().starts_with('{') => {
                let is_empty = members.trim() == "{";
                line.truncate(trimmed - 1);
                let comma = if is_empty { "" } else { "," };
                write!(line, "{comma}\"trace_id\":\"{hex}\"}}").unwrap_or_default();
            }
            _ => {
                let space = if line.is_empty() { "" } else { " " };
                write!(line, "{space}trace_id={hex}").unwrap_or_default();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use pipeline::otlp::fields::log_record;
    use pipeline::otlp::view::View;
    use pipeline::otlp::write::Writer;

    use super::*;

    #[test]
    fn a_line_without_its_trace_id_gets_it() {
        let mut record = Writer::new();
        record.bytes(log_record::TRACE_ID, &[0xab; 16]);
        let record = LogRecord::view(record.as_slice()).unwrap();
        let id = "ab".repeat(16);
        let check = |line: &str, expected: &str| {
            let mut out = line.to_owned();
            Preset::Dynamo.complete(&mut out, &record).unwrap();
            assert_eq!(out, expected.replace("ID", &id));
        };
        check("broken", "broken trace_id=ID");
        check("", "trace_id=ID");
        check(r#"{"a":1} "#, r#"{"a":1,"trace_id":"ID"}"#);
        check("{}", r#"{"trace_id":"ID"}"#);
        check("a}", "a} trace_id=ID");
        let has = format!("x {id} y");
        check(&has, &has);
        let mut none = "x".to_owned();
        Preset::Dynamo.complete(&mut none, &LogRecord::view(&[]).unwrap()).unwrap();
        assert_eq!(none, "x");
    }
}
