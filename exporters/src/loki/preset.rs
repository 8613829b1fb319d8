//! `preset: dynamo`: the stream labels that Dynamo's dashboards ask for, and the trace id in the line that they search.

use std::fmt::Write;
use std::sync::LazyLock;

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
    pub fn is_complete(self, line: &[u8], trace_id: Option<&[u8; 16]>, places: &mut IdPlaces) -> bool {
        trace_id.is_none_or(|id| places.find(line, id).is_some())
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

/// Where lines have their trace ids. It is looked for where that of the line before stood, then behind the name of the member
/// that it is in most, and only then, which takes longer than all else that is done with a line, everywhere.
#[derive(Default)]
pub struct IdPlaces {
    /// Bytes from the last one up to the end of its line.
    from_end: usize,
}

/// Searches the name, up to the value.
static MEMBER: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(br#""trace_id":""#));

impl IdPlaces {
    /// Where the line has it.
    fn find(&mut self, line: &[u8], id: &[u8; 16]) -> Option<usize> {
        let digits = to_hex(id);
        let digits = digits.as_flattened();
        let is_there = |at: &usize| line.get(*at..).is_some_and(|rest| rest.starts_with(digits));
        let as_before = line.len().checked_sub(self.from_end).filter(is_there);
        let in_member = || MEMBER.find(line).map(|at| at + MEMBER.needle().len()).filter(is_there);
        let found = as_before.or_else(in_member).or_else(|| memmem::find(line, digits))?;
        self.from_end = line.len() - found;
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use pipeline::otlp::fields::log_record;
    use pipeline::otlp::view::View;
    use pipeline::otlp::write::Writer;

    use super::*;

    #[test]
    fn an_id_is_found_wherever_it_stands_and_whatever_the_line_before_was() {
        let ids = [[0xab; 16], std::array::from_fn(|i| u8::try_from(i).unwrap()), [0; 16]];
        let hex = ids.map(|id| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        let lines = [
            String::new(),
            format!(r#"{{"trace_id":"{}"}}"#, hex[0]),
            format!(r#"{{"trace_id":"{}","a":"{}"}}"#, hex[0], hex[1]),
            format!(r#"{{"a":"{}","trace_id": "{}"}}"#, hex[2], hex[0]),
            format!("{} at the front, {}", hex[1], hex[2].to_uppercase()),
            hex[0][..31].to_owned(),
            format!("x{}", hex[0]),
            hex[1].to_uppercase(),
        ];
        for (before, line) in lines.iter().flat_map(|before| lines.iter().map(move |line| (before, line))) {
            for (id, digits) in ids.iter().zip(&hex) {
                let mut places = IdPlaces::default();
                ids.iter().for_each(|id| _ = places.find(before.as_bytes(), id));
                let found = places.find(line.as_bytes(), id);
                assert!(found.is_none_or(|at| line[at..].starts_with(digits)), "{line}");
                assert_eq!(found.is_some(), line.contains(digits), "{digits} in {line} behind {before}");
            }
        }
    }

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
