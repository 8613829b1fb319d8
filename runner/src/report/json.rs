//! One JSON object, for programs.

use pipeline::config::report::{self, Report};
use serde_json::{Value, json};

use super::lines;
use crate::suite::Suite;
use crate::{Finished, Results};

pub(crate) fn json(results: &Results) -> String {
    let suites: Vec<Value> = results
        .suites
        .iter()
        .map(|(suite, finished)| {
            let tests: Vec<Value> = finished.iter().map(|one| test(suite, one)).collect();
            json!({"file": suite.path.display().to_string(), "tests": tests})
        })
        .collect();
    let coverage: Vec<Value> = results
        .coverage
        .iter()
        .zip(&results.suites)
        .map(|(coverage, (suite, _))| {
            let missed = coverage.missed.iter().map(|(what, place)| json!({"what": what, "place": place}));
            json!({
                "file": suite.path.display().to_string(),
                "per_cent": coverage.per_cent(),
                "missed": missed.collect::<Vec<_>>(),
            })
        })
        .collect();
    let all = || results.suites.iter().flat_map(|(_, finished)| finished);
    let failed = all().filter(|one| !one.verdict.mismatches.is_empty()).count();
    let problems: Vec<&Report> = results.problems.iter().map(|report| &**report).collect();
    let out = json!({
        "passed": all().count() - failed,
        "failed": failed,
        "left_out": results.left_out,
        "milliseconds": results.took.as_secs_f64() * 1e3,
        "files": suites,
        "coverage": coverage,
        "problems": report::json(&problems),
    });
    format!("{out}\n")
}

fn test(suite: &Suite, one: &Finished) -> Value {
    let case = &suite.cases[one.case];
    let failures = one.verdict.mismatches.iter().map(|mismatch| {
        let text = lines(suite, mismatch).join("\n");
        json!({"message": mismatch.message, "line": mismatch.at.line, "column": mismatch.at.column, "text": text})
    });
    json!({
        "name": case.name,
        "line": case.at.line,
        "passed": one.verdict.mismatches.is_empty(),
        "milliseconds": one.took.as_secs_f64() * 1e3,
        "virtual_seconds": one.verdict.virtual_time.as_secs_f64(),
        "failures": failures.collect::<Vec<_>>(),
        "log": one.verdict.log,
    })
}
