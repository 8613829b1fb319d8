//! A report for programs: JSON for editors, and SARIF 2.1.0 for what shows findings beside code, such as GitHub.

use serde_json::{Value, json};

use super::{Diagnostic, Report, Rule, Severity};
use crate::config::tree::At;

/// All diagnostics of reports with their places, and how many there are.
pub fn json(reports: &[&Report]) -> Value {
    json!({
        "errors": reports.iter().map(|report| report.errors()).sum::<usize>(),
        "warnings": reports.iter().map(|report| report.warnings()).sum::<usize>(),
        "diagnostics": reports.iter().flat_map(|report| report.objects()).collect::<Vec<_>>(),
    })
}

/// A log of one run by SARIF 2.1.0, of all diagnostics of reports. Columns count characters.
pub fn sarif(reports: &[&Report], version: &str) -> Value {
    let rules: Vec<Value> = Rule::ALL
        .iter()
        .map(|rule| {
            json!({
                "id": rule.id(),
                "shortDescription": { "text": rule.about() },
                "defaultConfiguration": { "level": "error" },
            })
        })
        .collect();
    let of_one = |report: &&Report| report.diagnostics.iter().map(|d| report.result(d)).collect::<Vec<_>>();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "slipring",
                "version": version,
                "semanticVersion": version,
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": reports.iter().flat_map(of_one).collect::<Vec<_>>(),
        }],
    })
}

impl Report {
    fn objects(&self) -> Vec<Value> {
        let one = |d: &Diagnostic| {
            let mut object = json!({
                "severity": severity(d),
                "rule": d.rule.id(),
                "file": self.sources.name(d.at.source),
                "message": d.message,
                "help": d.help,
            });
            if let (Some(region), Some(object)) = (self.region(d.at), object.as_object_mut()) {
                object.insert("line".to_owned(), region.line.into());
                object.insert("column".to_owned(), region.start.into());
                object.insert("end_column".to_owned(), region.end.into());
                object.insert("source_line".to_owned(), region.text.into());
                object.insert("also".to_owned(), d.also.iter().map(|(at, what)| self.other(*at, what)).collect());
            }
            object
        };
        self.diagnostics.iter().map(one).collect()
    }

    fn result(&self, d: &Diagnostic) -> Value {
        let text = std::iter::once(d.message.as_str()).chain(d.help.iter().map(String::as_str));
        let related: Vec<Value> = d
            .also
            .iter()
            .map(|(at, what)| {
                let mut location = self.location(*at);
                if let Some(object) = location.as_object_mut() {
                    object.insert("message".to_owned(), json!({ "text": what }));
                }
                location
            })
            .collect();
        let mut result = json!({
            "ruleId": d.rule.id(),
            "ruleIndex": Rule::ALL.iter().position(|rule| *rule == d.rule).unwrap_or_default(),
            "level": severity(d),
            "message": { "text": text.collect::<Vec<_>>().join("\n") },
            "locations": [self.location(d.at)],
        });
        if let (false, Some(object)) = (related.is_empty(), result.as_object_mut()) {
            object.insert("relatedLocations".to_owned(), related.into());
        }
        result
    }

    fn location(&self, at: At) -> Value {
        let region = match self.region(at) {
            Some(region) => json!({
                "startLine": region.line,
                "startColumn": region.start,
                "endColumn": region.end,
                "snippet": { "text": region.text },
            }),
            None => json!({ "startLine": 1 }),
        };
        json!({ "physicalLocation": {
            "artifactLocation": { "uri": uri(self.sources.name(at.source)) },
            "region": region,
        }})
    }

    fn other(&self, at: At, what: &str) -> Value {
        json!({
            "file": self.sources.name(at.source),
            "line": at.line,
            "column": at.column,
            "message": what,
        })
    }

    /// A place in the source line as it is shown; `None` where the source as a whole is meant.
    fn region(&self, at: At) -> Option<Region> {
        if at.line == 0 {
            return None;
        }
        let (text, start, width) = self.shown(at);
        let length = text.chars().count();
        // Columns are those of the file; a masked line is not as long.
        let file_length = self.sources.line(at).chars().count();
        let start_column = at.column.max(1) as usize;
        let width = if text.len() == self.sources.line(at).len() { width } else { at.width as usize };
        let end = (start_column + width.max(1)).min(file_length.max(length).max(start) + 1);
        Some(Region { line: at.line, start: start_column, end: end.max(start_column + 1), text })
    }
}

struct Region {
    line: u32,
    start: usize,
    end: usize,
    text: String,
}

fn severity(d: &Diagnostic) -> &'static str {
    match d.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// A path as a relative or `file:` URI reference; what is no path, such as `--set`, stands as a name.
fn uri(name: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');
    let path = name.strip_prefix("./").unwrap_or(name);
    let encoded = utf8_percent_encode(path, KEPT).to_string();
    if path.starts_with('/') { format!("file://{encoded}") } else { encoded }
}
