//! What is wrong with a config, and how it is said: place, source line with a caret, what would work. Secrets are masked.

use std::fmt::Write as _;
use std::ops::Range;

mod formats;

use super::secret::{REDACTED, userinfo};
use super::tree::{At, Sources};

pub use formats::{json, sarif};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The config cannot be used.
    Error,
    /// It works, but probably not as meant, or not for much longer.
    Warning,
}

/// One thing to say about a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of problem it is.
    pub rule: Rule,
    /// Where.
    pub at: At,
    /// What is wrong.
    pub message: String,
    /// What would work, one sentence each.
    pub help: Vec<String>,
    /// Other places that matter, with what they are.
    pub also: Vec<(At, String)>,
    /// Where a secret stands that is masked in the source line.
    pub hidden: Option<Box<At>>,
    /// The key that nobody reads, where that is the problem and no other key is like it.
    pub unknown: Option<Box<str>>,
}

/// Kinds of problems, for those who count or filter them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// The text is not YAML, or not one document of unique keys.
    Syntax,
    /// A config cannot be read or merged.
    Source,
    /// A `${…}` cannot be replaced.
    Expansion,
    /// A component type that this binary does not have.
    UnknownComponent,
    /// A key that nobody reads.
    UnknownKey,
    /// A value that does not fit.
    Value,
    /// A name of something that is not configured.
    Reference,
    /// An older name.
    Deprecated,
    /// A setting without effect.
    NoEffect,
    /// What the config alone does not show, such as a certificate that cannot be read.
    Build,
    /// A test of the config failed.
    Test,
}

impl Rule {
    /// All of them.
    pub const ALL: [Rule; 11] = [
        Rule::Syntax,
        Rule::Source,
        Rule::Expansion,
        Rule::UnknownComponent,
        Rule::UnknownKey,
        Rule::Value,
        Rule::Reference,
        Rule::Deprecated,
        Rule::NoEffect,
        Rule::Build,
        Rule::Test,
    ];

    /// Its name in reports for programs.
    pub const fn id(self) -> &'static str {
        match self {
            Rule::Syntax => "syntax",
            Rule::Source => "source",
            Rule::Expansion => "expansion",
            Rule::UnknownComponent => "unknown-component",
            Rule::UnknownKey => "unknown-key",
            Rule::Value => "value",
            Rule::Reference => "reference",
            Rule::Deprecated => "deprecated",
            Rule::NoEffect => "no-effect",
            Rule::Build => "build",
            Rule::Test => "test",
        }
    }

    /// What it means, in one sentence.
    pub const fn about(self) -> &'static str {
        match self {
            Rule::Syntax => "The text is not YAML, or not one document of unique keys.",
            Rule::Source => "A config cannot be read or merged.",
            Rule::Expansion => "A ${…} cannot be replaced.",
            Rule::UnknownComponent => "A component type that this binary does not have.",
            Rule::UnknownKey => "A key that nobody reads.",
            Rule::Value => "A value that does not fit.",
            Rule::Reference => "A name of something that is not configured.",
            Rule::Deprecated => "An older name that still works.",
            Rule::NoEffect => "A setting without effect.",
            Rule::Build => "A component cannot be built.",
            Rule::Test => "A test of the config failed.",
        }
    }
}

impl Diagnostic {
    /// Something that keeps the config from being used.
    pub fn error(at: At, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            rule: Rule::Value,
            at,
            message: message.into(),
            help: Vec::new(),
            also: Vec::new(),
            hidden: None,
            unknown: None,
        }
    }

    /// Something to look at.
    pub fn warning(at: At, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(at, message) }
    }

    /// The same as a problem of this kind.
    #[must_use]
    pub fn rule(mut self, rule: Rule) -> Diagnostic {
        self.rule = rule;
        self
    }

    /// The same with what would work.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help.push(help.into());
        self
    }

    /// The same with another place that matters.
    #[must_use]
    pub fn also(mut self, at: At, what: impl Into<String>) -> Diagnostic {
        self.also.push((at, what.into()));
        self
    }
}

/// Everything there is to say about a config, with the texts it speaks of.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The texts.
    pub sources: Sources,
    /// Where secrets stand in the texts: never shown.
    pub secret_places: Vec<At>,
    /// What was found, in no particular order until [`Report::sort`].
    pub diagnostics: Vec<Diagnostic>,
}

/// Words in keys whose values are not shown, whatever their type turns out to be.
pub(super) const SECRET_WORDS: [&str; 9] =
    ["password", "passwd", "secret", "token", "credential", "authorization", "api_key", "api-key", "apikey"];

/// How a report looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// For files and pipes.
    #[default]
    Plain,
    /// With colours.
    Terminal,
}

impl Report {
    /// Takes in one more, unless it has been said.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if !self.diagnostics.contains(&diagnostic) {
            self.diagnostics.push(diagnostic);
        }
    }

    /// How many errors are in it.
    pub fn errors(&self) -> usize {
        self.diagnostics.iter().filter(|d| d.severity == Severity::Error).count()
    }

    /// How many warnings are in it.
    pub fn warnings(&self) -> usize {
        self.diagnostics.len() - self.errors()
    }

    /// Errors first, each kind in the order of the sources.
    pub fn sort(&mut self) {
        self.diagnostics.sort_by_key(|d| (d.severity, d.at));
    }

    /// The whole report as text, ending with a line that counts; empty when there is nothing to say.
    pub fn render(&self, style: Style) -> String {
        let mut out = String::new();
        for diagnostic in &self.diagnostics {
            self.one(&mut out, diagnostic, style);
            out.push('\n');
        }
        let counts: Vec<String> = [(self.errors(), "error"), (self.warnings(), "warning")]
            .into_iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, what)| format!("{n} {what}{}", if n == 1 { "" } else { "s" }))
            .collect();
        if !counts.is_empty() {
            out.push_str(&counts.join(", "));
            out.push('\n');
        }
        out
    }

    fn one(&self, out: &mut String, diagnostic: &Diagnostic, style: Style) {
        let word = match (diagnostic.severity, style) {
            (Severity::Error, Style::Plain) => "error",
            (Severity::Warning, Style::Plain) => "warning",
            (Severity::Error, Style::Terminal) => "\u{1b}[1;31merror\u{1b}[0m",
            (Severity::Warning, Style::Terminal) => "\u{1b}[1;33mwarning\u{1b}[0m",
        };
        let place = self.place(diagnostic.at);
        let colon = if place.is_empty() { "" } else { ": " };
        let _ = writeln!(out, "{place}{colon}{word}: {}", diagnostic.message);
        self.excerpt(out, diagnostic.at);
        for (at, what) in &diagnostic.also {
            let _ = writeln!(out, "      = {what}: {}", self.place(*at));
        }
        for help in &diagnostic.help {
            let _ = writeln!(out, "      = {help}");
        }
    }

    /// `file:line:column`, as far as it is known.
    pub fn place(&self, at: At) -> String {
        let name = self.sources.name(at.source);
        match at.line {
            0 => name.to_owned(),
            line => format!("{name}:{line}:{}", at.column),
        }
    }

    /// A source line without its secrets, where in it the place begins, and how wide it is, in characters.
    fn shown(&self, at: At) -> (String, usize, usize) {
        let line = self.sources.line(at);
        let mut secrets = sounding_secret(line);
        let letters = |byte: usize| line[..byte].chars().count();
        secrets.extend(userinfo(line).into_iter().map(|range| letters(range.start)..letters(range.end)));
        let of_others = self.diagnostics.iter().filter_map(|d| d.hidden.as_deref());
        let places = self.secret_places.iter().chain(of_others);
        secrets.extend(places.filter(|s| (s.source, s.line) == (at.source, at.line)).map(columns));
        masked(line, secrets, columns(&at))
    }

    fn excerpt(&self, out: &mut String, at: At) {
        const MOST: usize = 120;
        const BEFORE: usize = 60;
        let (line, start, width) = self.shown(at);
        if line.trim().is_empty() {
            return;
        }
        let skipped = if start > MOST - 20 { start - BEFORE } else { 0 };
        let (less, start) = if skipped > 0 { ("…", start + 1) } else { ("", start) };
        let shown: String = less.chars().chain(line.chars().skip(skipped).take(MOST)).collect();
        let more = if line.chars().count() > skipped + MOST { "…" } else { "" };
        let lead: String = shown.chars().take(start - skipped).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let width = width.min(shown.trim_end().chars().count().saturating_sub(start - skipped)).max(1);
        let _ = writeln!(out, " {:>4} | {}{more}", at.line, shown.trim_end());
        let _ = writeln!(out, "      | {lead}{}", "^".repeat(width));
    }
}

/// The characters of a line that a place covers.
fn columns(at: &At) -> Range<usize> {
    let start = at.column.saturating_sub(1) as usize;
    start..start + at.width.max(1) as usize
}

/// What stands behind keys that sound secret, whatever they turn out to be, to the end of the line.
fn sounding_secret(line: &str) -> Vec<Range<usize>> {
    let lower = line.to_ascii_lowercase();
    let mut found = Vec::new();
    for word in SECRET_WORDS {
        let Some(colon) = lower.find(word).and_then(|i| lower[i..].find([':', '=']).map(|c| i + c + 1)) else {
            continue;
        };
        let start = colon + lower[colon..].len() - lower[colon..].trim_start().len();
        let rest = lower[start..].trim_start_matches(['"', '\'']);
        if !rest.is_empty() && !rest.starts_with('#') {
            found.push(lower[..start].chars().count()..usize::MAX);
        }
    }
    found
}

/// The line with these parts masked, and where the caret and its width are then. References such as `${env:X}` are not
/// secrets.
fn masked(line: &str, mut secrets: Vec<Range<usize>>, caret: Range<usize>) -> (String, usize, usize) {
    let letters: Vec<char> = line.chars().collect();
    secrets.sort_by_key(|r| r.start);
    let (mut out, mut done) = (String::new(), 0);
    let (mut start, mut width) = (caret.start, caret.len());
    for secret in secrets {
        let (from, to) = (secret.start.min(letters.len()), secret.end.min(letters.len()));
        let text: String = letters[from..to].iter().collect();
        if from < done || text.trim_matches(['"', '\'', ' ']).starts_with("${") || text.is_empty() {
            continue;
        }
        out.extend(&letters[done..from]);
        let behind = out.chars().count();
        out.push_str(REDACTED);
        done = to;
        if caret.start >= to {
            start = behind + REDACTED.len() + (caret.start - to);
        } else if caret.start >= from {
            (start, width) = (behind, REDACTED.len());
        }
    }
    out.extend(&letters[done.min(letters.len())..]);
    (out, start, width)
}
