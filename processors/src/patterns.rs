//! Lists of texts to match: exact, by regular expression, or (ours) by prefix.

use pipeline::config::re2;
use regex::RegexSet;
use serde::Deserialize;

/// How the texts of a match are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MatchType {
    /// The whole text is equal.
    Strict,
    /// A regular expression matches somewhere in the text.
    Regexp,
    /// The text begins with it (ours), as in Dynamo's own metric filters.
    Prefix,
    /// Expressions of the collector's `expr` language, which are not taken here.
    Expr,
}

/// The `regexp` block of a match: accepted for the collector's sake. Decisions about metric names are always cached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RegexpCache {
    /// Accepted, no effect.
    pub cacheenabled: bool,
    /// Accepted, no effect.
    pub cachemaxnumentries: i64,
}

/// Several texts of one match type; one of them must match.
#[derive(Clone, Debug)]
pub enum Patterns {
    /// Equal to one; sorted.
    Strict(Vec<Box<str>>),
    /// Matched by one.
    Regexp(RegexSet),
    /// Beginning with one.
    Prefix(Vec<Box<str>>),
}

impl Patterns {
    /// Compiles them.
    ///
    /// # Errors
    /// The index of the first text that is not a regular expression, with the reason; likewise for `expr`.
    pub fn new(how: MatchType, texts: &[String]) -> Result<Patterns, (usize, String)> {
        let boxed = || texts.iter().map(|t| t.as_str().into()).collect::<Vec<Box<str>>>();
        match how {
            MatchType::Strict => {
                let mut texts = boxed();
                texts.sort();
                Ok(Patterns::Strict(texts))
            }
            MatchType::Prefix => Ok(Patterns::Prefix(boxed())),
            MatchType::Regexp => re2::regex_set(texts).map(Patterns::Regexp),
            MatchType::Expr => {
                Err((0, "is of match_type expr, which is not supported: use strict, regexp or prefix".to_owned()))
            }
        }
    }

    /// Whether one of them matches.
    #[inline]
    pub fn is_match(&self, text: &str) -> bool {
        match self {
            Patterns::Strict(list) => list.binary_search_by(|t| (**t).cmp(text)).is_ok(),
            Patterns::Prefix(list) => list.iter().any(|t| text.starts_with(&**t)),
            Patterns::Regexp(set) => set.is_match(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matching(how: MatchType, texts: &[&str], text: &str) -> bool {
        let texts: Vec<_> = texts.iter().map(|&t| t.to_owned()).collect();
        Patterns::new(how, &texts).unwrap().is_match(text)
    }

    #[test]
    fn each_type_matches_its_way() {
        assert!(matching(MatchType::Strict, &["a", "vllm:x"], "vllm:x"));
        assert!(!matching(MatchType::Strict, &["vllm:"], "vllm:x"));
        assert!(matching(MatchType::Prefix, &["vllm:"], "vllm:x"));
        assert!(!matching(MatchType::Prefix, &["vllm."], "vllm:x"));
        assert!(matching(MatchType::Regexp, &["l.m"], "vllm:x"));
        assert!(!matching(MatchType::Regexp, &["^l.m"], "vllm:x"));
        assert!(!matching(MatchType::Strict, &[], ""));
    }

    #[test]
    fn a_broken_regular_expression_is_named_with_its_index() {
        let (at, why) = Patterns::new(MatchType::Regexp, &["a".into(), "(b".into()]).unwrap_err();
        assert_eq!(at, 1);
        assert_eq!(why, "\"(b\" is not a regular expression: unclosed group");
    }
}
