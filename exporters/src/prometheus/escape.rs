//! Names for readers that do not take every name: Prometheus' escaping schemes.

use std::borrow::Cow;
use std::fmt::Write;

/// What a reader takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Escaping {
    /// Whatever is not allowed is `_`.
    #[default]
    Underscores,
    /// Names stay as they are, in quotes where they have to be.
    AllowUtf8,
    /// `.` is `_dot_`, `_` is `__`.
    Dots,
    /// Every character can be found out again.
    Values,
}

impl Escaping {
    /// By its name in an `Accept` header.
    pub fn of_name(name: &str) -> Option<Escaping> {
        Some(match name {
            "underscores" => Escaping::Underscores,
            "allow-utf-8" => Escaping::AllowUtf8,
            "dots" => Escaping::Dots,
            "values" => Escaping::Values,
            _ => return None,
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Escaping::Underscores => "underscores",
            Escaping::AllowUtf8 => "allow-utf-8",
            Escaping::Dots => "dots",
            Escaping::Values => "values",
        }
    }

    /// A name as the reader takes it.
    pub fn escape(self, name: &str) -> Cow<'_, str> {
        match self {
            Escaping::AllowUtf8 => Cow::Borrowed(name),
            Escaping::Underscores | Escaping::Values if is_plain(name) => Cow::Borrowed(name),
            _ => Cow::Owned(self.escaped(name)),
        }
    }

    fn escaped(self, name: &str) -> String {
        let mut out = String::with_capacity(name.len() + 8);
        if self == Escaping::Values {
            out.push_str("U__");
        }
        for (at, c) in name.char_indices() {
            match self {
                Escaping::Dots if c == '.' => out.push_str("_dot_"),
                Escaping::Dots | Escaping::Values if c == '_' => out.push_str("__"),
                _ if is_allowed(c, at) => out.push(c),
                Escaping::Values => write!(out, "_{:x}_", u32::from(c)).unwrap_or_default(),
                Escaping::Dots => out.push_str("__"),
                _ => out.push('_'),
            }
        }
        out
    }
}

/// Whether a name needs no quotes.
pub fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.char_indices().all(|(at, c)| is_allowed(c, at))
}

fn is_allowed(c: char, at: usize) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '_' | ':') || at > 0 && c.is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_by_every_scheme() {
        for (name, underscores, dots, values) in [
            ("http_requests:rate5m", "http_requests:rate5m", "http__requests:rate5m", "http_requests:rate5m"),
            ("http.requests", "http_requests", "http_dot_requests", "U__http_2e_requests"),
            ("größe_1", "gr__e_1", "gr____e__1", "U__gr_f6__df_e__1"),
            ("1st", "_st", "__st", "U___31_st"),
        ] {
            assert_eq!(Escaping::Underscores.escape(name), underscores);
            assert_eq!(Escaping::Dots.escape(name), dots);
            assert_eq!(Escaping::Values.escape(name), values);
            assert_eq!(Escaping::AllowUtf8.escape(name), name);
        }
        for scheme in [Escaping::Underscores, Escaping::AllowUtf8, Escaping::Dots, Escaping::Values] {
            assert_eq!(Escaping::of_name(scheme.name()), Some(scheme));
        }
    }
}
