//! JUnit's XML, as CI systems read it.

use std::fmt::Write as _;

use pipeline::config::report::{Severity, Style};

use super::lines;
use crate::Results;

pub(crate) fn junit(results: &Results) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let all = || results.suites.iter().flat_map(|(_, finished)| finished);
    let failed = all().filter(|one| !one.verdict.mismatches.is_empty()).count();
    let time = results.took.as_secs_f64();
    let broken: Vec<_> = results.problems.iter().filter(|report| report.errors() > 0).collect();
    let (tests, errors) = (all().count() + broken.len(), broken.len());
    _ = writeln!(out, "<testsuites tests=\"{tests}\" failures=\"{failed}\" errors=\"{errors}\" time=\"{time:.3}\">");
    for report in broken {
        let Some(first) = report.diagnostics.iter().find(|d| d.severity == Severity::Error) else { continue };
        let name = escaped(report.sources.name(first.at.source));
        let place = format!("classname=\"{name}\" file=\"{name}\" line=\"{}\"", first.at.line);
        let text = escaped(&report.render(Style::Plain));
        _ = writeln!(out, "  <testsuite name=\"{name}\" tests=\"1\" failures=\"0\" errors=\"1\" time=\"0.000\">");
        _ = writeln!(out, "    <testcase name=\"it can be used\" {place} time=\"0.000\">");
        _ = writeln!(out, "      <error message=\"{}\">\n{text}      </error>", escaped(&first.message));
        out.push_str("    </testcase>\n  </testsuite>\n");
    }
    for (suite, finished) in &results.suites {
        let name = escaped(&suite.path.display().to_string());
        let failures = finished.iter().filter(|one| !one.verdict.mismatches.is_empty()).count();
        let time: f64 = finished.iter().map(|one| one.took.as_secs_f64()).sum();
        let count = finished.len();
        _ = writeln!(out, "  <testsuite name=\"{name}\" tests=\"{count}\" failures=\"{failures}\" time=\"{time:.3}\">");
        for one in finished {
            let case = &suite.cases[one.case];
            let (title, took, line) = (escaped(&case.name), one.took.as_secs_f64(), case.at.line);
            let place = format!("classname=\"{name}\" file=\"{name}\" line=\"{line}\"");
            _ = write!(out, "    <testcase name=\"{title}\" {place} time=\"{took:.3}\"");
            let Some(first) = one.verdict.mismatches.first() else {
                out.push_str("/>\n");
                continue;
            };
            _ = writeln!(out, ">\n      <failure message=\"{}\">", escaped(&first.message));
            for mismatch in &one.verdict.mismatches {
                lines(suite, mismatch).iter().for_each(|line| _ = writeln!(out, "{}", escaped(line)));
            }
            out.push_str("      </failure>\n");
            if !one.verdict.log.is_empty() {
                _ = writeln!(out, "      <system-err>{}</system-err>", escaped(&one.verdict.log.join("\n")));
            }
            out.push_str("    </testcase>\n");
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// Text for an attribute or an element; what XML cannot hold is replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' | '\r' => out.push(letter),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_cannot_hold_is_replaced() {
        assert_eq!(escaped("a<b>&\"\u{1}\n"), "a&lt;b&gt;&amp;&quot;\u{fffd}\n");
    }
}
