//! SARIF 2.1.0: what is wrong with test files and configs, and each expectation that did not hold, at its place.

use pipeline::config::report::{self, Diagnostic, Report, Rule};

use super::lines;
use crate::suite::Suite;
use crate::{Finished, Results};

pub(crate) fn sarif(results: &Results) -> String {
    let failed: Vec<Report> = results.suites.iter().map(|(suite, finished)| failures(suite, finished)).collect();
    let reports: Vec<&Report> = results.problems.iter().map(|report| &**report).chain(&failed).collect();
    format!("{}\n", report::sarif(&reports, env!("CARGO_PKG_VERSION")))
}

/// What did not hold in a suite's tests, as problems of the test file.
fn failures(suite: &Suite, finished: &[Finished]) -> Report {
    let mut out = Report { diagnostics: Vec::new(), ..suite.report.clone() };
    for one in finished {
        let case = &suite.cases[one.case];
        for mismatch in &one.verdict.mismatches {
            let at = if mismatch.at.line == 0 { case.at } else { mismatch.at };
            let message = format!("{}: {}", case.name, mismatch.message);
            // The first of the lines is the message again.
            let help = lines(suite, mismatch).split_off(1);
            out.push(Diagnostic { help, ..Diagnostic::error(at, message).rule(Rule::Test) });
        }
    }
    out
}
