//! What came of the tests: for people, for CI systems, for programs.

mod json;
mod junit;
mod sarif;
mod text;

pub(crate) use json::json;
pub(crate) use junit::junit;
pub(crate) use sarif::sarif;
pub(crate) use text::text;

use crate::compare::{Line, Mismatch};
use crate::suite::Suite;

/// A mismatch in plain lines, its place first.
fn lines(suite: &Suite, mismatch: &Mismatch) -> Vec<String> {
    let place = suite.report.place(mismatch.at);
    let mut out =
        vec![if place.is_empty() { mismatch.message.clone() } else { format!("{place}: {}", mismatch.message) }];
    out.extend(mismatch.nearest.iter().map(|line| match line {
        Line::Same(text) | Line::About(text) => format!("    {text}"),
        Line::Expected(text) => format!("  - {text}"),
        Line::Got(text) => format!("  + {text}"),
    }));
    out
}
