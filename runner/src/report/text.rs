//! For people: a line for each test, and below those that failed what is not as expected.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use crate::compare::{Line, Mismatch};
use crate::coverage::Coverage;
use crate::rehearse::Verdict;
use crate::suite::Suite;
use crate::{Finished, Results};

/// The most of a test's mismatches that are shown, and of its own log.
const MOST_MISMATCHES: usize = 10;
const MOST_LOG_LINES: usize = 10;

pub(crate) fn text(results: &Results, colours: bool) -> String {
    let mut out = Out { text: String::new(), colours };
    for (suite, finished) in results.suites.iter().filter(|(_, finished)| !finished.is_empty()) {
        _ = writeln!(out.text, "{}", suite.path.display());
        finished.iter().for_each(|one| out.one(suite, one));
    }
    for ((suite, _), coverage) in results.suites.iter().zip(&results.coverage) {
        out.coverage(suite, coverage);
    }
    let all = || results.suites.iter().flat_map(|(_, finished)| finished);
    let failed = all().filter(|one| !one.verdict.mismatches.is_empty()).count();
    let passed = all().count() - failed;
    let virtual_time: Duration = all().map(|one| one.verdict.virtual_time).sum();
    let mut parts = vec![out.painted(if failed == 0 { GREEN } else { "" }, &format!("{passed} passed"))];
    if failed > 0 {
        parts.push(out.painted(RED, &format!("{failed} failed")));
    }
    if results.left_out > 0 {
        parts.push(format!("{} left out", results.left_out));
    }
    let took = short(results.took);
    _ = writeln!(out.text, "{} in {took} (of their own time {})", parts.join(", "), short(virtual_time));
    out.text
}

const RED: &str = "31";
const GREEN: &str = "32";
const GREY: &str = "2";

struct Out {
    text: String,
    colours: bool,
}

impl Out {
    fn painted(&self, colour: &str, text: &str) -> String {
        if self.colours && !colour.is_empty() { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn one(&mut self, suite: &Suite, one: &Finished) {
        let Verdict { mismatches, log, .. } = &one.verdict;
        let name = &suite.cases[one.case].name;
        let mark = if mismatches.is_empty() { self.painted(GREEN, "ok  ") } else { self.painted(RED, "FAIL") };
        let took = self.painted(GREY, &short(one.took));
        _ = writeln!(self.text, "  {mark} {name}  {took}");
        mismatches.iter().take(MOST_MISMATCHES).for_each(|mismatch| self.mismatch(suite, mismatch));
        if mismatches.len() > MOST_MISMATCHES {
            _ = writeln!(self.text, "       and {} more", mismatches.len() - MOST_MISMATCHES);
        }
        if !mismatches.is_empty() && !log.is_empty() {
            _ = writeln!(self.text, "       {}", self.painted(GREY, "own log:"));
            for line in log.iter().rev().take(MOST_LOG_LINES).rev() {
                _ = writeln!(self.text, "         {}", self.painted(GREY, &said(line)));
            }
        }
    }

    fn coverage(&mut self, suite: &Suite, coverage: &Coverage) {
        let (path, per_cent) = (suite.path.display(), coverage.per_cent());
        let colour = if coverage.missed.is_empty() { GREEN } else { RED };
        let share = self.painted(colour, &format!("{per_cent:.0} %"));
        let (exercised, all) = (coverage.exercised, coverage.exercised + coverage.missed.len());
        _ = writeln!(self.text, "{path}: {share} of its config is exercised ({exercised} of {all})");
        for (what, place) in &coverage.missed {
            _ = writeln!(self.text, "  {place}: {what}");
        }
    }

    fn mismatch(&mut self, suite: &Suite, mismatch: &Mismatch) {
        let place = suite.report.place(mismatch.at);
        let colon = if place.is_empty() { "" } else { ": " };
        _ = writeln!(self.text, "       {place}{colon}{}", mismatch.message);
        for line in &mismatch.nearest {
            let (colour, text) = match line {
                Line::Same(text) => ("", format!("  {text}")),
                Line::About(text) => (GREY, format!("  {text}")),
                Line::Expected(text) => (RED, format!("- {text}")),
                Line::Got(text) => (GREEN, format!("+ {text}")),
            };
            _ = writeln!(self.text, "         {}", self.painted(colour, &text));
        }
    }
}

/// A line of the own log without what a test makes plain.
fn said(line: &str) -> String {
    let Ok(Value::Object(mut fields)) = serde_json::from_str(line) else { return line.to_owned() };
    let mut take = |key: &str| fields.remove(key).and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
    let (level, message) = (take("level"), take("msg"));
    take("ts");
    take("target");
    let mut out = format!("{level} {message}");
    fields.into_iter().for_each(|(name, value)| _ = write!(out, " {name}={value}"));
    out
}

/// A time as people say it.
pub(super) fn short(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        1..=9 => format!("{:.2} s", time.as_secs_f64()),
        10..=119 => format!("{} s", time.as_secs()),
        120..=7199 => format!("{} min", time.as_secs() / 60),
        _ => format!("{} h", time.as_secs() / 3600),
    }
}
