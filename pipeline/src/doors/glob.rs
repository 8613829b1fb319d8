//! Globs over paths: `*`, `?`, `[…]`, `{a,b}`, `**` and `\` before any of them. Matching only; walking a tree is the
//! business of whoever holds one, with [`Glob::patterns`] to guide it.

use std::fmt;
use std::path::{Component, Path};

use smallvec::SmallVec;

/// Braces may multiply to at most so many patterns.
const MOST_PATTERNS: usize = 1024;

/// Why a text is not a glob; says what would work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobError(&'static str);

impl fmt::Display for GlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for GlobError {}

/// A glob. `*` and `?` stay within one name and match leading dots too; `**` as a whole name matches any number of
/// folders, none included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    text: String,
    patterns: Vec<Pattern>,
}

/// One alternative of a glob: the names of a path, from its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Whether paths start at `/`.
    pub absolute: bool,
    /// What each name must match.
    pub segments: Vec<Segment>,
}

/// What one name of a path, or any number of them, must match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// `**`.
    AnyDepth,
    /// This name and no other.
    Literal(String),
    /// A name with wildcards.
    Wild(Wild),
}

/// The wildcards of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wild(Vec<Token>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Char(char),
    Any,
    Star,
    Class { negated: bool, ranges: SmallVec<[(char, char); 2]> },
}

impl Glob {
    /// Reads a glob.
    ///
    /// # Errors
    /// A bracket or brace that is not closed, a range that runs backwards, an empty text, too many alternatives.
    pub fn new(text: &str) -> Result<Glob, GlobError> {
        if text.is_empty() {
            return Err(GlobError("a glob must not be empty"));
        }
        let mut expanded = Vec::new();
        expand(text, &mut expanded)?;
        let patterns = expanded.iter().map(|p| pattern(p)).collect::<Result<_, _>>()?;
        Ok(Glob { text: text.to_owned(), patterns })
    }

    /// Its alternatives, the braces multiplied out.
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// Whether a path matches as a whole. Names that are not UTF-8 match with replacement characters.
    pub fn matches(&self, path: &Path) -> bool {
        let mut names: SmallVec<[_; 16]> = SmallVec::new();
        for component in path.components() {
            match component {
                Component::Normal(name) => names.push(name.to_string_lossy()),
                Component::ParentDir => names.push("..".into()),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
        let absolute = path.is_absolute();
        self.patterns.iter().any(|p| p.absolute == absolute && names_match(&p.segments, &names))
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Wild {
    /// Whether a name matches.
    pub fn matches(&self, name: &str) -> bool {
        wild_matches(&self.0, name)
    }
}

/// Multiplies braces out, the innermost too; `\` keeps a brace literal.
fn expand(text: &str, out: &mut Vec<String>) -> Result<(), GlobError> {
    let Some((open, close, commas)) = first_braces(text)? else {
        if out.len() >= MOST_PATTERNS {
            return Err(GlobError("the braces of a glob multiply to more than 1024 patterns; split it into several"));
        }
        out.push(text.to_owned());
        return Ok(());
    };
    let mut from = open + 1;
    for end in commas.into_iter().chain([close]) {
        expand(&[&text[..open], &text[from..end], &text[close + 1..]].concat(), out)?;
        from = end + 1;
    }
    Ok(())
}

type Braces = (usize, usize, Vec<usize>);

fn first_braces(text: &str) -> Result<Option<Braces>, GlobError> {
    let bytes = text.as_bytes();
    let (mut at, mut depth, mut open, mut commas, mut in_class) = (0, 0usize, 0, Vec::new(), false);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b']' => in_class = false,
            _ if in_class => {}
            b'[' => in_class = true,
            b'{' => {
                if depth == 0 {
                    open = at;
                }
                depth += 1;
            }
            b',' if depth == 1 => commas.push(at),
            b'}' if depth == 1 => return Ok(Some((open, at, commas))),
            b'}' if depth > 1 => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    if depth > 0 { Err(GlobError("a `{` of a glob is not closed; write `\\{` for the character")) } else { Ok(None) }
}

fn pattern(text: &str) -> Result<Pattern, GlobError> {
    let mut segments = Vec::new();
    for name in text.split('/').filter(|n| !n.is_empty() && *n != ".") {
        segments.push(match name {
            "**" if segments.last() == Some(&Segment::AnyDepth) => continue,
            "**" => Segment::AnyDepth,
            _ => segment(name)?,
        });
    }
    Ok(Pattern { absolute: text.starts_with('/'), segments })
}

fn segment(name: &str) -> Result<Segment, GlobError> {
    let mut tokens = Vec::new();
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '*' if tokens.last() == Some(&Token::Star) => continue,
            '*' => Token::Star,
            '?' => Token::Any,
            '[' => class(&mut chars)?,
            '\\' => Token::Char(chars.next().unwrap_or('\\')),
            c => Token::Char(c),
        });
    }
    let literal = tokens.iter().map(|t| if let Token::Char(c) = t { Some(*c) } else { None }).collect();
    Ok(match literal {
        Some(name) => Segment::Literal(name),
        None => Segment::Wild(Wild(tokens)),
    })
}

fn class(chars: &mut std::str::Chars<'_>) -> Result<Token, GlobError> {
    const OPEN: GlobError = GlobError("a `[` of a glob is not closed; write `\\[` for the character");
    let mut one = || match chars.next() {
        Some('\\') => chars.next().map(|c| (c, true)),
        other => other.map(|c| (c, false)),
    };
    let mut ranges = SmallVec::new();
    let mut next = one().ok_or(OPEN)?;
    let negated = matches!(next, ('!' | '^', false));
    if negated {
        next = one().ok_or(OPEN)?;
    }
    loop {
        if next == (']', false) && !ranges.is_empty() {
            return Ok(Token::Class { negated, ranges });
        }
        let from = next.0;
        next = one().ok_or(OPEN)?;
        if next != ('-', false) {
            ranges.push((from, from));
            continue;
        }
        next = one().ok_or(OPEN)?;
        if next == (']', false) {
            ranges.extend([(from, from), ('-', '-')]);
            continue;
        }
        if next.0 < from {
            return Err(GlobError("a range of a glob runs backwards; write the lower character first"));
        }
        ranges.push((from, next.0));
        next = one().ok_or(OPEN)?;
    }
}

/// Greedy with one point to go back to, so linear in practice and never exponential; so is [`wild_matches`].
fn names_match<S: AsRef<str>>(segments: &[Segment], names: &[S]) -> bool {
    let (mut s, mut n, mut back) = (0, 0, None);
    while n < names.len() {
        let fits = match segments.get(s) {
            Some(Segment::AnyDepth) => {
                back = Some((s + 1, n));
                s += 1;
                continue;
            }
            Some(Segment::Literal(name)) => name == names[n].as_ref(),
            Some(Segment::Wild(wild)) => wild.matches(names[n].as_ref()),
            None => false,
        };
        match (fits, back) {
            (true, _) => (s, n) = (s + 1, n + 1),
            (false, Some((after, from))) => {
                (s, n) = (after, from + 1);
                back = Some((after, from + 1));
            }
            (false, None) => return false,
        }
    }
    segments[s..].iter().all(|s| *s == Segment::AnyDepth)
}

fn wild_matches(tokens: &[Token], name: &str) -> bool {
    let (mut t, mut rest, mut back) = (0, name, None);
    while let Some(c) = rest.chars().next() {
        let fits = match tokens.get(t) {
            Some(Token::Star) => {
                back = Some((t + 1, rest));
                t += 1;
                continue;
            }
            Some(Token::Any) => true,
            Some(Token::Char(want)) => *want == c,
            Some(Token::Class { negated, ranges }) => {
                ranges.iter().any(|&(from, to)| (from..=to).contains(&c)) != *negated
            }
            None => false,
        };
        match (fits, back) {
            (true, _) => (t, rest) = (t + 1, &rest[c.len_utf8()..]),
            (false, Some((after, from))) => {
                let mut from = from.chars();
                from.next();
                (t, rest) = (after, from.as_str());
                back = Some((after, rest));
            }
            (false, None) => return false,
        }
    }
    tokens[t..].iter().all(|t| *t == Token::Star)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(glob: &str, yes: &[&str], no: &[&str]) {
        let glob = Glob::new(glob).unwrap();
        for path in yes {
            assert!(glob.matches(Path::new(path)), "{glob} should match {path}");
        }
        for path in no {
            assert!(!glob.matches(Path::new(path)), "{glob} should not match {path}");
        }
    }

    #[test]
    fn stars_and_question_marks_stay_within_a_name() {
        check(
            "/var/log/*.log",
            &["/var/log/a.log", "/var/log/.log"],
            &["/var/log/a/b.log", "/var/log/a.logs", "a.log"],
        );
        check("/a/?.log", &["/a/x.log", "/a/é.log"], &["/a/xy.log", "/a/.log"]);
        check("*a*b*", &["ab", "xaybz", "aab"], &["ba", "a"]);
    }

    #[test]
    fn double_stars_match_any_number_of_folders() {
        check("/a/**/x.log", &["/a/x.log", "/a/b/x.log", "/a/b/c/x.log"], &["/x.log", "/a/b/y.log"]);
        check("/a/**", &["/a/b", "/a/b/c"], &["/b"]);
        check("**/b/**/*.log", &["b/x.log", "a/b/c/b/x.log"], &["/b/x.log", "a/c/x.log"]);
    }

    #[test]
    fn classes_and_braces_choose() {
        check("w[0-9].log", &["w3.log"], &["w.log", "wa.log"]);
        check("w[!0-9x].log", &["wa.log"], &["w3.log", "wx.log"]);
        check("w[]a-].log", &["w].log", "wa.log", "w-.log"], &["wb.log"]);
        check("/l/{a,b{1,2}}/*.{log,jsonl}", &["/l/a/x.log", "/l/b2/x.jsonl"], &["/l/b/x.log", "/l/b3/x.log"]);
        check(r"/l/\{a\}\*", &["/l/{a}*"], &["/l/a", "/l/{a}b"]);
    }

    #[test]
    fn a_leading_dot_folder_does_not_matter() {
        check("./logs/*.log", &["logs/a.log", "./logs/a.log"], &["/logs/a.log"]);
    }

    #[test]
    fn bad_globs_say_what_is_wrong() {
        for (bad, says) in [
            ("", "empty"),
            ("a[b", "`[`"),
            ("a{b,c", "`{`"),
            ("[z-a]", "backwards"),
            ("{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}", "1024"),
        ] {
            let error = Glob::new(bad).unwrap_err().to_string();
            assert!(error.contains(says), "{bad}: {error}");
        }
    }

    #[test]
    fn matching_takes_no_exponential_time() {
        let glob = Glob::new(&format!("{}b", "*a".repeat(30))).unwrap();
        assert!(!glob.matches(Path::new(&"a".repeat(200))));
    }
}
